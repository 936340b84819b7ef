import type { z } from "zod";
import type { Event } from "../prefect-api/events.ts";
import { sleep } from "../shared/abort.ts";
import type { Connection } from "./http.ts";
import { openSocket } from "./socket.ts";

/** Events that wait for a lost connection; the oldest go first, as Prefect's own emitter loses them all. */
const MAX_WAITING = 1000;
const FIRST_RECONNECT_MS = 1000;
const MAX_RECONNECT_MS = 30_000;
/** Undici buffers without a limit; the socket is closed only when what was sent has left. */
const FLUSH_POLL_MS = 10;

export interface EventEmitter {
  /** Never throws and never waits: events are a convenience of whoever watches. */
  emit(event: z.input<typeof Event>): void;
  /** Sends what waits, for at most `graceMs`, then closes the socket. */
  close(graceMs: number): Promise<void>;
}

/** Streams events to `/events/in`; connects on the first event and again when the connection is lost. */
export function createEventEmitter(connection: Connection, signal: AbortSignal): EventEmitter {
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  const waiting: string[] = [];
  let socket: WebSocket | undefined;
  let busy = false;
  let sending = Promise.resolve();

  async function sendWaiting(): Promise<void> {
    busy = true;
    for (let delayMs = FIRST_RECONNECT_MS; waiting.length > 0 && !stopped.aborted; ) {
      if (socket?.readyState !== WebSocket.OPEN) {
        try {
          socket = await openSocket(connection, "/events/in", stopped);
          delayMs = FIRST_RECONNECT_MS;
        } catch {
          // Nobody to tell: the plane being away is reported by the calls that matter.
          await sleep(delayMs * (0.8 + Math.random() * 0.4), stopped);
          delayMs = Math.min(delayMs * 2, MAX_RECONNECT_MS);
          continue;
        }
      }
      const text = waiting.shift();
      if (text !== undefined) {
        socket.send(text);
      }
    }
    busy = false;
  }

  return {
    emit(event) {
      if (stopped.aborted) {
        return;
      }
      waiting.push(JSON.stringify(event));
      if (waiting.length > MAX_WAITING) {
        waiting.shift();
      }
      if (!busy) {
        sending = sendWaiting();
      }
    },
    async close(graceMs) {
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(graceMs)]);
      while (!deadline.aborted && (waiting.length > 0 || (socket?.bufferedAmount ?? 0) > 0)) {
        await sleep(FLUSH_POLL_MS, deadline);
      }
      stop.abort();
      await sending;
      socket?.close();
    },
  };
}
