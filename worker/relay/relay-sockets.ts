import type { WebSocket } from "@fastify/websocket";
import type { FastifyRequest } from "fastify";
import { WebSocket as Client } from "ws";
import { Event } from "../../src/prefect-api/events.ts";
import {
  AUTH_SUCCESS,
  AuthMessage,
  CLOSE_MALFORMED,
  CLOSE_OVERLOADED,
  CLOSE_UNAUTHORIZED,
  SOCKET_SUBPROTOCOL,
} from "../../src/prefect-api/socket-messages.ts";
import { FrameReader } from "../../src/sockets/frame-reader.ts";
import { sendLive, whenClosed } from "../../src/sockets/outlet.ts";
import { parseFrame, takeInTime } from "../../src/sockets/read-frame.ts";
import { keepAlive } from "../../src/sockets/socket-support.ts";
import type { RelayDeps } from "./relay-deps.ts";
import { parseRunAuthString, type RunIdentity } from "./run-token.ts";

const MAX_BATCH = 250;
const OPEN_MS = 10_000;
/** How often it is looked whether the run of a socket still goes on. */
const LOOK_MS = 30_000;
/** Close codes that a side may say itself (RFC 6455, section 7.4). */
const FIRST_OWN_CODE = 3000;
const SAYABLE_CODES: ReadonlySet<number> = new Set([1000, 1001, 1002, 1003, 1008, 1011, 1012, 1013]);

/** A pong after events says that they are in the spool. */
export async function takeEvents(deps: RelayDeps, socket: WebSocket): Promise<void> {
  const reader = new FrameReader(socket);
  keepAlive(socket);
  const identity = await admit(deps, socket, reader);
  if (identity === undefined) {
    return;
  }
  socket.send(JSON.stringify(AUTH_SUCCESS));
  for (;;) {
    const frames = await reader.take(MAX_BATCH);
    if (frames.length === 0) {
      return;
    }
    const parsed = frames.map((frame) => parseFrame(Event, frame));
    const events = parsed.filter((event) => event !== undefined);
    if (!deps.inbox.addEvents(events, identity)) {
      socket.close(CLOSE_OVERLOADED, "the relay has no more room; send them again");
      return;
    }
    if (events.length < frames.length) {
      socket.close(CLOSE_MALFORMED, "a frame was not an event");
      return;
    }
    reader.settle(frames.length);
  }
}

/** Undefined, and the socket closed, for whoever is no run that goes on or has too many sockets. Closed when it ends. */
async function admit(deps: RelayDeps, socket: WebSocket, reader: FrameReader): Promise<RunIdentity | undefined> {
  const frame = await takeInTime({ socket, reader });
  reader.settle(1);
  const token = frame === undefined ? undefined : parseFrame(AuthMessage, frame)?.token;
  const identity = typeof token === "string" ? parseRunAuthString(deps.secret, token) : undefined;
  if (identity?.use !== "run" || (await deps.standing.isOver(identity.flow_run_id))) {
    socket.close(CLOSE_UNAUTHORIZED, "Invalid token");
    return undefined;
  }
  if (!deps.sockets.take(identity.flow_run_id)) {
    socket.close(CLOSE_OVERLOADED, "this run has too many sockets");
    return undefined;
  }
  whenClosed(socket, () => deps.sockets.giveBack(identity.flow_run_id));
  endWithRun(deps, socket, identity);
  return identity;
}

function endWithRun(deps: RelayDeps, socket: WebSocket, { flow_run_id }: RunIdentity): void {
  const timer = setInterval(() => {
    void deps.standing.isOver(flow_run_id).then((isOver) => {
      if (isOver) {
        socket.close(CLOSE_UNAUTHORIZED, "the run has ended");
      }
    });
  }, LOOK_MS);
  whenClosed(socket, () => clearInterval(timer));
}

/** The same frames both ways, but for the first: the plane gets the worker's credentials instead of the run's. */
export async function passThrough(deps: RelayDeps, socket: WebSocket, request: FastifyRequest): Promise<void> {
  const reader = new FrameReader(socket);
  keepAlive(socket);
  if ((await admit(deps, socket, reader)) === undefined) {
    return;
  }
  const { apiUrl, authString, apiKey, authorization } = deps.upstream;
  const path = request.url.replace(/^\/api/, "");
  const upstream = new Client(`${apiUrl.replace(/^http/, "ws")}${path}`, SOCKET_SUBPROTOCOL, {
    headers: authorization === undefined ? {} : { authorization },
    handshakeTimeout: OPEN_MS,
  });
  // Clients fall back to asking by HTTP, and come back.
  upstream.on("error", () => socket.close(CLOSE_OVERLOADED, "the control plane is away"));
  upstream.on("close", (code, reason) => socket.close(isSayable(code) ? code : CLOSE_OVERLOADED, String(reason)));
  upstream.on("message", (data) => sendLive(socket, String(data)));
  socket.on("close", () => upstream.close());
  upstream.once("open", () => {
    upstream.send(JSON.stringify({ type: "auth", token: authString ?? apiKey ?? null }));
    void sendOn(reader, upstream);
  });
}

async function sendOn(reader: FrameReader, upstream: Client): Promise<void> {
  for (;;) {
    const frames = await reader.take(MAX_BATCH);
    if (frames.length === 0 || upstream.readyState !== Client.OPEN) {
      return;
    }
    for (const frame of frames) {
      // What the plane does not take waits with the client.
      await new Promise<void>((resolve) => upstream.send(frame, () => resolve()));
    }
    reader.settle(frames.length);
  }
}

function isSayable(code: number): boolean {
  return code >= FIRST_OWN_CODE || SAYABLE_CODES.has(code);
}
