import type { WebSocket } from "@fastify/websocket";
import type { FastifyRequest } from "fastify";
import { matchesLogFilter } from "../../orchestration/events/log-filter.ts";
import { LogFilter } from "../../prefect-api/filters.ts";
import { FrameReader } from "../../sockets/frame-reader.ts";
import { sendLive, whenClosed } from "../../sockets/outlet.ts";
import { keepAlive } from "../../sockets/socket-support.ts";
import type { AppDeps } from "../app-deps.ts";
import { authenticate, readFilter } from "./handshake.ts";

/** `/logs/out`: lines as they are stored, none from before. */
export async function streamLogs(deps: AppDeps, socket: WebSocket, request: FastifyRequest): Promise<void> {
  const reader = new FrameReader(socket);
  keepAlive(socket);
  if (!(await authenticate({ socket, reader }, request, deps.credentials))) {
    return;
  }
  const asked = await readFilter({ socket, reader }, LogFilter);
  if (asked === undefined) {
    return;
  }
  const unsubscribe = deps.bus.subscribeToLogs((logs) => {
    for (const log of logs) {
      if (matchesLogFilter(log, asked.filter)) {
        sendLive(socket, JSON.stringify({ type: "log", log }));
      }
    }
  });
  whenClosed(socket, unsubscribe);
}
