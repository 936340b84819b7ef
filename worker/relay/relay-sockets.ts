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
import { sendLive } from "../../src/sockets/outlet.ts";
import { parseFrame, takeInTime } from "../../src/sockets/read-frame.ts";
import { keepAlive } from "../../src/sockets/socket-support.ts";
import type { RelayDeps } from "./relay-deps.ts";
import { parseRunAuthString } from "./run-token.ts";

const MAX_BATCH = 250;
const OPEN_MS = 10_000;
/** Close codes that a side may say itself (RFC 6455, section 7.4). */
const FIRST_OWN_CODE = 3000;
const SAYABLE_CODES: ReadonlySet<number> = new Set([1000, 1001, 1002, 1003, 1008, 1011, 1012, 1013]);

/** A pong after events says that they are in the spool. */
export async function takeEvents(deps: RelayDeps, socket: WebSocket): Promise<void> {
  const reader = new FrameReader(socket);
  keepAlive(socket);
  if (!(await authenticate(deps, socket, reader))) {
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
    if (!deps.inbox.addEvents(events)) {
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

async function authenticate(deps: RelayDeps, socket: WebSocket, reader: FrameReader): Promise<boolean> {
  const frame = await takeInTime({ socket, reader });
  reader.settle(1);
  const token = frame === undefined ? undefined : parseFrame(AuthMessage, frame)?.token;
  if (typeof token === "string" && parseRunAuthString(deps.secret, token) !== undefined) {
    return true;
  }
  socket.close(CLOSE_UNAUTHORIZED, "Invalid token");
  return false;
}

/** The same frames both ways, but for the first: the plane gets the worker's credentials instead of the run's. */
export async function passThrough(deps: RelayDeps, socket: WebSocket, request: FastifyRequest): Promise<void> {
  const reader = new FrameReader(socket);
  keepAlive(socket);
  if (!(await authenticate(deps, socket, reader))) {
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
      upstream.send(frame);
    }
    reader.settle(frames.length);
  }
}

function isSayable(code: number): boolean {
  return code >= FIRST_OWN_CODE || SAYABLE_CODES.has(code);
}
