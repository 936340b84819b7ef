import type { WebSocket } from "@fastify/websocket";
import type { FastifyRequest } from "fastify";
import type { z } from "zod";
import {
  AUTH_SUCCESS,
  AuthMessage,
  CLOSE_MALFORMED,
  CLOSE_UNAUTHORIZED,
  FilterMessage,
} from "../../prefect-api/socket-messages.ts";
import type { FrameReader } from "../../sockets/frame-reader.ts";
import { parseFrame, takeInTime } from "../../sockets/read-frame.ts";
import type { Credentials } from "../auth.ts";

/**
 * The first exchange of every socket. Answers whether the client may go on; if not, the socket is closed. A valid
 * Authorization header on the upgrade counts as well as the token: clients with only an API key send the token null.
 */
export async function authenticate(
  { socket, reader }: { socket: WebSocket; reader: FrameReader },
  request: FastifyRequest,
  credentials: Credentials | null,
): Promise<boolean> {
  const frame = await takeInTime({ socket, reader });
  if (frame === undefined) {
    return false;
  }
  reader.settle(1);
  const message = parseFrame(AuthMessage, frame);
  if (message === undefined) {
    socket.close(CLOSE_UNAUTHORIZED, "Expected 'auth' message");
    return false;
  }
  if (credentials !== null && !credentials.acceptsHeader(request.headers.authorization)) {
    if (!message.token) {
      socket.close(CLOSE_UNAUTHORIZED, "Auth required but no token provided");
      return false;
    }
    if (!credentials.acceptsToken(message.token)) {
      socket.close(CLOSE_UNAUTHORIZED, "Invalid token");
      return false;
    }
  }
  socket.send(JSON.stringify(AUTH_SUCCESS));
  return true;
}

/** The second frame of a streaming socket. Undefined: the socket is closed. */
export async function readFilter<Schema extends z.ZodType>(
  { socket, reader }: { socket: WebSocket; reader: FrameReader },
  schema: Schema,
): Promise<{ filter: z.output<Schema>; backfill: boolean } | undefined> {
  const frame = await takeInTime({ socket, reader });
  if (frame === undefined) {
    return undefined;
  }
  reader.settle(1);
  const message = parseFrame(FilterMessage, frame);
  if (message === undefined) {
    socket.close(CLOSE_MALFORMED, "Expected 'filter' message");
    return undefined;
  }
  const filter = schema.safeParse(message.filter);
  if (!filter.success) {
    socket.close(CLOSE_MALFORMED, "Invalid filter");
    return undefined;
  }
  return { filter: filter.data, backfill: message.backfill };
}
