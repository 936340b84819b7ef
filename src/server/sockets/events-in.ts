import type { WebSocket } from "@fastify/websocket";
import type { FastifyRequest } from "fastify";
import { receiveEvents } from "../../orchestration/events/receive-events.ts";
import { Event } from "../../prefect-api/events.ts";
import { CLOSE_FAILED, CLOSE_MALFORMED } from "../../prefect-api/socket-messages.ts";
import { FrameReader } from "../../sockets/frame-reader.ts";
import { parseFrame } from "../../sockets/read-frame.ts";
import { keepAlive } from "../../sockets/socket-support.ts";
import type { AppDeps } from "../app-deps.ts";
import { authenticate } from "./handshake.ts";

/** Events of one client that share a transaction. */
const MAX_BATCH = 250;

/** `/events/in`: one event per frame. A pong after events says that they are on disk. */
export async function takeEvents(deps: AppDeps, socket: WebSocket, request: FastifyRequest): Promise<void> {
  const reader = new FrameReader(socket);
  keepAlive(socket);
  if (!(await authenticate({ socket, reader }, request, deps.credentials))) {
    return;
  }
  for (;;) {
    const frames = await reader.take(MAX_BATCH);
    if (frames.length === 0) {
      return;
    }
    const parsed = frames.map((frame) => parseFrame(Event, frame));
    const events = parsed.filter((event) => event !== undefined);
    try {
      await receiveEvents(deps, events, deps.clock.now());
    } catch (error) {
      request.log.error({ err: error, events: events.length }, "events could not be stored");
      socket.close(CLOSE_FAILED, "events could not be stored; send them again");
      return;
    }
    if (events.length < frames.length) {
      socket.close(CLOSE_MALFORMED, "a frame was not an event");
      return;
    }
    reader.settle(frames.length);
  }
}
