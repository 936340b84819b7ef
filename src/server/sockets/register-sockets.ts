import { requireSubprotocol } from "../../sockets/socket-support.ts";
import type { App, AppDeps } from "../app-deps.ts";
import { takeEvents } from "./events-in.ts";
import { streamEvents } from "./events-out.ts";
import { streamLogs } from "./logs-out.ts";

/** Prefect's three streams (surface §1.6). Paths without a socket answer 404 while still HTTP, as clients expect. */
export function registerSockets(api: App, deps: AppDeps): void {
  const options = { websocket: true, preValidation: requireSubprotocol, config: { socket: true } } as const;
  api.get("/events/in", options, (socket, request) => takeEvents(deps, socket, request));
  api.get("/events/out", options, (socket, request) => streamEvents(deps, socket, request));
  api.get("/logs/out", options, (socket, request) => streamLogs(deps, socket, request));
}
