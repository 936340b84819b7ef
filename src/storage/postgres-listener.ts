import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "pg";
import { connect } from "./postgres.ts";
import { CHANNEL, type Message, parseMessage } from "./postgres-messages.ts";

const FIRST_BACK_OFF_MS = 50;
const MAX_BACK_OFF_MS = 2000;
/** A connection that nothing is sent on may be cut by what is in between, and nobody would notice. */
const PROBE_MS = 20_000;

interface Ears {
  onMessage(message: Message): void;
  /** The connection was lost and is back: messages may have been missed. */
  onMissed(): void;
}

/** Hears what planes tell each other, on a connection of its own that is made again whenever it is lost. */
export class PostgresListener {
  readonly #url: string;
  readonly #ears: Ears;
  readonly #stopping = new AbortController();
  #listening: Promise<void> = Promise.resolve();

  constructor(url: string, ears: Ears) {
    this.#url = url;
    this.#ears = ears;
  }

  /** Resolves when it hears. Throws what connecting throws. */
  async start(): Promise<void> {
    const client = await this.#listen();
    this.#listening = this.#keepListening(client);
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#listening;
  }

  async #keepListening(first: Client): Promise<void> {
    const { signal } = this.#stopping;
    let client: Client | undefined = first;
    let failures = 0;
    while (!signal.aborted) {
      if (client !== undefined) {
        await probeUntilLost(client, signal);
        await client.end().catch(() => undefined);
      }
      await delay(Math.min(FIRST_BACK_OFF_MS * 2 ** failures, MAX_BACK_OFF_MS), undefined, { signal }).catch(
        () => undefined,
      );
      client = signal.aborted ? undefined : await this.#listen().catch(() => undefined);
      failures = client === undefined ? failures + 1 : 0;
      if (client !== undefined) {
        this.#ears.onMissed();
      }
    }
    await client?.end().catch(() => undefined);
  }

  async #listen(): Promise<Client> {
    const client = await connect(this.#url);
    client.on("notification", ({ payload }) => {
      const message = parseMessage(payload ?? "");
      if (message !== undefined) {
        this.#ears.onMessage(message);
      }
    });
    await client.query(`listen ${CHANNEL}`);
    return client;
  }
}

async function probeUntilLost(client: Client, signal: AbortSignal): Promise<void> {
  const ended = new AbortController();
  client.once("end", () => ended.abort());
  const either = AbortSignal.any([signal, ended.signal]);
  while (!either.aborted) {
    await delay(PROBE_MS, undefined, { signal: either }).catch(() => undefined);
    if (!either.aborted) {
      await client.query("select 1").catch(() => ended.abort());
    }
  }
}
