import type { WebSocket } from "@fastify/websocket";
import type { z } from "zod";
import { parseJson } from "../prefect-api/parse-json.ts";
import { CLOSE_UNAUTHORIZED } from "../prefect-api/socket-messages.ts";
import type { FrameReader } from "./frame-reader.ts";

/** Prefect's clients send both of their first frames at once when they have connected. */
const HANDSHAKE_MS = 30_000;

/** Parses one frame; undefined when it is no JSON or not what was expected. */
export function parseFrame<Schema extends z.ZodType>(schema: Schema, frame: string): z.output<Schema> | undefined {
  try {
    return schema.safeParse(parseJson(frame)).data;
  } catch {
    return undefined;
  }
}

/** The next frame of a client that has not finished its handshake. None: it said nothing in time, or has gone. */
export async function takeInTime({
  socket,
  reader,
}: {
  socket: WebSocket;
  reader: FrameReader;
}): Promise<string | undefined> {
  const timer = setTimeout(() => socket.close(CLOSE_UNAUTHORIZED, "nothing was sent in time"), HANDSHAKE_MS);
  const [frame] = await reader.take(1);
  clearTimeout(timer);
  return frame;
}
