import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface CommitProxy extends AsyncDisposable {
  /** Of the same database, through the proxy. */
  url: string;
  /** Of the next commits so many lose their answer, and their connection: the database has done them. */
  losing: number;
  lost: number;
}

const PORT = 5432;

/** A network between planes and their PostgreSQL that breaks just when a commit is done and before anybody hears of it. */
export async function startCommitProxy(url: string): Promise<CommitProxy> {
  const directory = new URL(url.replace("@/", "@socket/")).searchParams.get("host") ?? "";
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the database's proxy has no port");
  }
  const database = new URL(url.replace("@/", "@socket/")).pathname;
  const open = new Set<Socket>();
  const proxy: CommitProxy = {
    url: `postgresql://postgres@127.0.0.1:${address.port}${database}`,
    losing: 0,
    lost: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of open) {
        socket.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
  server.on("connection", (plane) => {
    const behind = connect(`${directory}/.s.PGSQL.${PORT}`);
    for (const socket of [plane, behind]) {
      open.add(socket);
      socket.on("error", () => undefined).on("close", () => open.delete(socket));
    }
    pass(proxy, plane, behind);
  });
  return proxy;
}

function pass(proxy: CommitProxy, plane: Socket, behind: Socket): void {
  plane.pipe(behind);
  behind.on("data", (answer: Buffer) => {
    // CommandComplete of a commit. Rows of ours have no such word before a NUL.
    if (proxy.losing > 0 && answer.includes("COMMIT\0")) {
      proxy.losing -= 1;
      proxy.lost += 1;
      plane.destroy();
      behind.destroy();
      return;
    }
    plane.write(answer);
  });
  behind.on("close", () => plane.destroy());
}
