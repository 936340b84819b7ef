import type { PrefectClient } from "../../src/client/prefect-client.ts";
import type { OutputEntry } from "./output-lines.ts";

const MAX_WITHHELD_CHARACTERS = 200_000;
const MAX_ASKED = 2000;
/** The engine's clock stands on the record, ours on the line: between them lies a pipe. */
const SLACK_MS = 5000;

interface WithheldLines {
  note(entry: OutputEntry): void;
  isEmpty(): boolean;
  /** Those of the last lines that the plane does not have. Throws what the client throws. */
  findMissing(client: { logs: Pick<PrefectClient["logs"], "list"> }, flowRunId: string): Promise<OutputEntry[]>;
}

/**
 * What the engine prints it also sends to the plane, two seconds later and only if it lives so long: an engine that is
 * killed, or ends by `os._exit`, or finds no plane, takes its last lines with it. They are in the output, though.
 */
export function createWithheldLines(): WithheldLines {
  const lines: OutputEntry[] = [];
  let characters = 0;
  return {
    note: (entry) => {
      lines.push(entry);
      characters += entry.message.length;
      while (characters > MAX_WITHHELD_CHARACTERS) {
        characters -= lines.shift()?.message.length ?? characters;
      }
    },
    isEmpty: () => lines.length === 0,
    findMissing: async (client, flowRunId) => {
      const [first] = lines;
      if (first === undefined) {
        return [];
      }
      const after = new Date(Date.parse(`${first.at.slice(0, 23)}Z`) - SLACK_MS).toISOString();
      const stored = await client.logs.list(
        { logs: { flow_run_id: { any_: [flowRunId] }, timestamp: { after_: after } }, sort: "TIMESTAMP_DESC" },
        { limit: MAX_ASKED },
      );
      return subtract(
        lines,
        stored.map(({ message }) => message),
      );
    },
  };
}

/** A message that was printed twice and stored once is missing once. */
function subtract(lines: readonly OutputEntry[], stored: readonly string[]): OutputEntry[] {
  const counts = new Map<string, number>();
  for (const message of stored) {
    const key = message.trimEnd();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return lines.filter(({ message }) => {
    const count = counts.get(message.trimEnd()) ?? 0;
    counts.set(message.trimEnd(), count - 1);
    return count <= 0;
  });
}
