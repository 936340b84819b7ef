import { createInterface } from "node:readline";
import { z } from "zod";

/**
 * One line of the engine's progress stream of a pull, push or build. A stream that began with 200 still carries its
 * failure as `error`: whoever reads one must look at every event.
 */
export const ProgressEvent = z.object({
  id: z.string().optional(),
  status: z.string().optional(),
  stream: z.string().optional(),
  progress: z.string().optional(),
  error: z.string().optional(),
  aux: z.unknown().optional(),
});
export type ProgressEvent = z.infer<typeof ProgressEvent>;

/** Reads the stream to its end. Throws an Error with the engine's words for the first event that carries an `error`. */
export async function followProgress(
  stream: NodeJS.ReadableStream,
  onEvent: (event: ProgressEvent) => void,
): Promise<void> {
  let failure: string | undefined;
  let streamError: unknown;
  // readline swallows the source's own error: a cut connection must not look like the end.
  stream.once("error", (error) => {
    streamError = error;
  });
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() === "") {
      continue;
    }
    const event = ProgressEvent.parse(JSON.parse(line));
    failure ??= event.error;
    onEvent(event);
  }
  if (streamError !== undefined) {
    throw streamError;
  }
  if (failure !== undefined) {
    throw new Error(failure);
  }
}
