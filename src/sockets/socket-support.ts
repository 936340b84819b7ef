import websocket, { type WebSocket } from "@fastify/websocket";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { CLOSE_GOING_AWAY, SOCKET_SUBPROTOCOL } from "../prefect-api/socket-messages.ts";

/** One event or filter. Prefect's clients cut messages of states at 100,000 characters. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024;
const PING_INTERVAL_MS = 20_000;
/** How long clients have to answer our goodbye before the plane stops without them. */
const GOODBYE_MS = 500;

/** Makes the app take upgrades. To be called before any hook that looks at `request.ws`, and before any route. */
export async function registerSocketSupport(app: FastifyInstance): Promise<void> {
  await app.register(websocket, {
    options: {
      maxPayload: MAX_FRAME_BYTES,
      autoPong: false, // FrameReader answers
      handleProtocols: (offered) => (offered.has(SOCKET_SUBPROTOCOL) ? SOCKET_SUBPROTOCOL : false),
    },
    errorHandler: (error, socket, request) => {
      // A client that breaks the protocol or vanishes is its own affair; ws closes the socket.
      request.log.debug({ err: error }, "socket failed");
      socket.terminate();
    },
    preClose(done) {
      sayGoodbye(this.websocketServer.clients);
      this.websocketServer.close(() => done());
    },
  });
}

function sayGoodbye(clients: Set<WebSocket>): void {
  for (const client of clients) {
    client.close(CLOSE_GOING_AWAY, "the control plane is stopping");
  }
  setTimeout(() => {
    for (const client of clients) {
      client.terminate();
    }
  }, GOODBYE_MS).unref();
}

/** Prefect's clients all offer the subprotocol. Without it the upgrade is refused while it is still HTTP. */
export function requireSubprotocol(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const offered = request.headers["sec-websocket-protocol"] ?? "";
  if (request.ws && !offered.split(",").some((protocol) => protocol.trim() === SOCKET_SUBPROTOCOL)) {
    void reply.code(403).send({ detail: `The WebSocket subprotocol "${SOCKET_SUBPROTOCOL}" is required.` });
    return;
  }
  done();
}

/** Pings every 20 s and drops a client that did not answer the ping before. */
export function keepAlive(socket: WebSocket): void {
  let answered = true;
  socket.on("pong", () => {
    answered = true;
  });
  const timer = setInterval(() => {
    if (!answered) {
      socket.terminate();
      return;
    }
    answered = false;
    socket.ping();
  }, PING_INTERVAL_MS);
  socket.on("close", () => clearInterval(timer));
}
