import type { Server } from "node:http";

/** So many connections of one address: who opens thousands would take the files that the relay may have open. */
const MAX_CONNECTIONS = 512;

/** What each of many may have at the same time of something that all of them need. */
export class Shares {
  readonly #most: number;
  readonly #taken = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Answers whether there was one left. */
  take(who: string): boolean {
    const taken = this.#taken.get(who) ?? 0;
    if (taken >= this.#most) {
      return false;
    }
    this.#taken.set(who, taken + 1);
    return true;
  }

  giveBack(who: string): void {
    const taken = this.#taken.get(who) ?? 0;
    if (taken > 1) {
      this.#taken.set(who, taken - 1);
    } else {
      this.#taken.delete(who);
    }
  }
}

/** Containers have an address each; what comes by loopback are runs of this machine's own, and proxies. */
export function limitConnections(server: Server): void {
  const shares = new Shares(MAX_CONNECTIONS);
  server.on("connection", (socket) => {
    const address = socket.remoteAddress ?? "";
    if (/^(?:::ffff:)?127\.|^::1$/.test(address)) {
      return;
    }
    if (!shares.take(address)) {
      socket.destroy();
      return;
    }
    socket.once("close", () => shares.giveBack(address));
  });
}
