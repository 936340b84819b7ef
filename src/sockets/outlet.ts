import type { WebSocket } from "@fastify/websocket";
import { CLOSE_OVERLOADED } from "../prefect-api/socket-messages.ts";

/** What one client may leave unread before it is let go: a subscriber that stands still must not fill our memory. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;

/** Sends at once, and closes a client that does not read. */
export function sendLive(socket: WebSocket, frame: string): void {
  if (socket.readyState !== socket.OPEN) {
    return;
  }
  if (socket.bufferedAmount > MAX_UNREAD_BYTES) {
    socket.close(CLOSE_OVERLOADED, `more than ${MAX_UNREAD_BYTES} bytes unread`);
    return;
  }
  socket.send(frame);
}

/** Sends and waits until the frame has left, so that history is read no faster than the client takes it. */
export function sendPaced(socket: WebSocket, frame: string): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState !== socket.OPEN) {
      resolve();
      return;
    }
    socket.send(frame, () => resolve());
  });
}

/** Calls back when the socket is closed, also when it is already. */
export function whenClosed(socket: WebSocket, callback: () => void): void {
  if (socket.readyState === socket.CLOSED) {
    callback();
  } else {
    socket.once("close", callback);
  }
}
