import type { App } from "../../src/server/app-deps.ts";

export interface TestSocket {
  send(message: unknown): void;
  sendText(text: string): void;
  /** The next message, parsed. Throws when the socket closes first. */
  next(): Promise<unknown>;
  /** Resolves with the close code. */
  closed: Promise<number>;
  /** Resolves when the plane answers a ping. */
  ping(): Promise<void>;
  close(): void;
}

/** A client of one of the plane's sockets. Rejects when the upgrade is refused. */
export async function openTestSocket(
  app: App,
  path: string,
  headers: Record<string, string> = { "sec-websocket-protocol": "prefect" },
): Promise<TestSocket> {
  const waiting: unknown[] = [];
  const readers: ((message: unknown) => void)[] = [];
  const { promise: closed, resolve: close } = Promise.withResolvers<number>();
  const socket = await app.injectWS(
    path,
    { headers },
    {
      onInit(client) {
        client.on("message", (data) => {
          const message: unknown = JSON.parse(String(data));
          const reader = readers.shift();
          if (reader === undefined) {
            waiting.push(message);
          } else {
            reader(message);
          }
        });
        client.on("close", (code) => close(code));
      },
    },
  );
  return {
    send: (message) => socket.send(JSON.stringify(message)),
    sendText: (text) => socket.send(text),
    closed,
    next() {
      if (waiting.length > 0) {
        return Promise.resolve(waiting.shift());
      }
      return new Promise((resolve, reject) => {
        readers.push(resolve);
        void closed.then((code) => reject(new Error(`closed with ${code}`)));
      });
    },
    ping: () =>
      new Promise((resolve) => {
        socket.once("pong", () => resolve());
        socket.ping();
      }),
    close: () => socket.close(),
  };
}

/** A client that has authenticated. */
export async function openAuthenticated(app: App, path: string): Promise<TestSocket> {
  const socket = await openTestSocket(app, path);
  socket.send({ type: "auth", token: null });
  await socket.next();
  return socket;
}
