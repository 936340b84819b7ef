import { z } from "zod";
import type { Announcement } from "./store.ts";
import { WAKE_UP_CHANNELS, type WakeUp } from "./wake-ups.ts";

/** Of LISTEN and NOTIFY; they do not reach beyond the database. */
export const CHANNEL = "flowyard";
/** PostgreSQL takes less than 8000 bytes; these have up to three each, and JSON's quotes come on top. */
const MAX_MESSAGE_CHARACTERS = 2000;
const IDS_TOGETHER = 50;
const MAX_KEY_CHARACTERS = 200;

/** What a batch tells once it is committed. */
export interface Outbox {
  wakeUps: readonly WakeUp[];
  announced: readonly Announcement[];
}

const Message = z.object({
  plane: z.string(),
  wakeUps: z.array(z.object({ channel: z.enum(WAKE_UP_CHANNELS), key: z.string() })),
  announced: z.array(z.object({ kind: z.enum(["events", "logs"]), ids: z.array(z.string()) })),
});
export type Message = z.infer<typeof Message>;

/** As few messages as they fit in. */
export function buildMessages({ wakeUps, announced }: Outbox, plane: string): string[] {
  const messages: Message[] = [];
  let size = Number.POSITIVE_INFINITY;
  const current = (bytes: number): Message => {
    const last = messages.at(-1);
    size += bytes;
    if (last !== undefined && size <= MAX_MESSAGE_CHARACTERS) {
      return last;
    }
    const next: Message = { plane, wakeUps: [], announced: [] };
    messages.push(next);
    size = bytes;
    return next;
  };
  for (const { channel, key } of wakeUps) {
    const short = key.slice(0, MAX_KEY_CHARACTERS);
    current(channel.length + short.length).wakeUps.push({ channel, key: short });
  }
  for (const { kind, ids } of announced) {
    for (let start = 0; start < ids.length; start += IDS_TOGETHER) {
      const together = ids.slice(start, start + IDS_TOGETHER);
      current(together.join().length).announced.push({ kind, ids: together });
    }
  }
  return messages.map((message) => JSON.stringify(message));
}

/** Undefined for what is not ours. */
export function parseMessage(text: string): Message | undefined {
  try {
    return Message.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
