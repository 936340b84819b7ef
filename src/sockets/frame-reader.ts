import type { WebSocket } from "@fastify/websocket";

/** Frames read ahead of their consumer; beyond either the socket is not read, and TCP makes the client wait. */
const MAX_WAITING_FRAMES = 1000;
const MAX_WAITING_CHARACTERS = 8 * 1024 * 1024;
/** Pongs that a client leaves unread; one that pings without reading is let go. */
const MAX_UNREAD_BYTES = 1024 * 1024;

/**
 * The frames of one socket, in order. A ping is answered only when every frame before it is settled: clients take the
 * pong as a promise that what they sent is kept (Prefect's client then forgets it).
 */
export class FrameReader {
  readonly #socket: WebSocket;
  #waiting: string[] = [];
  #waitingCharacters = 0;
  #received = 0;
  #settled = 0;
  #pings: { data: Buffer; afterFrame: number }[] = [];
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data) => {
      this.#received += 1;
      const frame = String(data);
      this.#waiting.push(frame);
      this.#waitingCharacters += frame.length;
      if (this.#isFull()) {
        socket.pause();
      }
      this.#wake?.();
    });
    socket.on("ping", (data: Buffer) => {
      this.#pings.push({ data, afterFrame: this.#received });
      this.#answerPings();
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  /** Waits for at least one frame and answers up to `most`; none when the socket has closed and all were taken. */
  async take(most: number): Promise<string[]> {
    while (this.#waiting.length === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    const frames = this.#waiting.slice(0, most);
    this.#waiting = this.#waiting.slice(most);
    this.#waitingCharacters -= frames.reduce((sum, frame) => sum + frame.length, 0);
    if (this.#socket.isPaused && !this.#isFull()) {
      this.#socket.resume();
    }
    return frames;
  }

  /** The next `count` frames have been dealt with. */
  settle(count: number): void {
    this.#settled += count;
    this.#answerPings();
  }

  #isFull(): boolean {
    return this.#waiting.length >= MAX_WAITING_FRAMES || this.#waitingCharacters >= MAX_WAITING_CHARACTERS;
  }

  #answerPings(): void {
    if (this.#socket.bufferedAmount > MAX_UNREAD_BYTES && this.#pings.length > 0) {
      this.#socket.terminate();
      return;
    }
    while (this.#pings[0] !== undefined && this.#pings[0].afterFrame <= this.#settled) {
      this.#socket.pong(this.#pings.shift()?.data);
    }
  }
}
