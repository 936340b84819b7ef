import type { z } from "zod";
import { TransientError } from "../shared/errors.ts";
import type { Connection } from "./http.ts";
import { describeClose, openSocket } from "./socket.ts";

/** A reader slower than the server is cut off here: a socket cannot be told to wait. */
const MAX_BUFFERED = 10_000;

export interface Subscription<T> extends AsyncIterable<T> {
  /** Ends the iteration and the socket; safe to repeat. */
  close(): void;
}

interface SubscriptionRequest<S extends z.ZodType> {
  path: string;
  filter: unknown;
  frame: S;
  signal: AbortSignal;
}

/**
 * Frames in the order of arrival. The iteration ends when the signal aborts or `close` is called; it throws
 * TransientError PLANE_UNREACHABLE when the server ends the stream. Frames that are not understood are skipped,
 * so that a newer server's other frames do no harm.
 */
export async function openSubscription<S extends z.ZodType>(
  connection: Connection,
  request: SubscriptionRequest<S>,
): Promise<Subscription<z.output<S>>> {
  const socket = await openSocket(connection, request.path, request.signal);
  const buffered: z.output<S>[] = [];
  let ended: { error: Error | undefined } | undefined;
  let wake: () => void = () => undefined;
  const end = (error: Error | undefined) => {
    ended ??= { error };
    request.signal.removeEventListener("abort", close);
    socket.close();
    wake();
  };
  const close = () => end(undefined);
  request.signal.addEventListener("abort", close, { once: true });
  socket.addEventListener("close", (event) => end(describeClose(socket.url, event)));
  socket.addEventListener("message", (event) => {
    const frame = parseFrame(request.frame, event.data);
    if (frame === undefined || ended !== undefined) {
      return;
    }
    if (buffered.push(frame) > MAX_BUFFERED) {
      end(new TransientError("PLANE_UNREACHABLE", `${socket.url} sent more than ${MAX_BUFFERED} unread messages.`));
    }
    wake();
  });
  socket.send(JSON.stringify({ type: "filter", filter: request.filter ?? {} }));

  async function* read(): AsyncGenerator<z.output<S>> {
    try {
      while (true) {
        const frame = buffered.shift();
        if (frame !== undefined) {
          yield frame;
          continue;
        }
        if (ended !== undefined) {
          break;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (ended.error !== undefined) {
        throw ended.error;
      }
    } finally {
      close();
    }
  }
  return { close, [Symbol.asyncIterator]: read };
}

function parseFrame<S extends z.ZodType>(schema: S, data: unknown): z.output<S> | undefined {
  try {
    return schema.safeParse(JSON.parse(String(data))).data;
  } catch {
    return undefined;
  }
}
