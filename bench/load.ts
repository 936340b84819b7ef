import { Agent, request } from "node:http";

export interface Answer {
  status: number;
  body: string;
}

/** One HTTP client of `clients` kept-alive connections, as Prefect's own clients keep theirs. */
export class LoadClient {
  readonly #agent: Agent;
  readonly #baseUrl: string;

  constructor(baseUrl: string, clients: number) {
    this.#baseUrl = baseUrl;
    this.#agent = new Agent({ keepAlive: true, maxSockets: clients });
  }

  send(method: string, path: string, body?: unknown): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const outgoing = request(
        `${this.#baseUrl}${path}`,
        {
          method,
          agent: this.#agent,
          headers:
            text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) },
        },
        (incoming) => {
          let received = "";
          incoming.setEncoding("utf8");
          incoming.on("data", (chunk: string) => {
            received += chunk;
          });
          incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body: received }));
          incoming.on("error", reject);
        },
      );
      // A server may close an idle connection just as we use it again: no fault of either, so ask once more.
      outgoing.on("error", (error) =>
        outgoing.reusedSocket ? resolve(this.send(method, path, body)) : resolve({ status: 0, body: error.message }),
      );
      outgoing.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

export interface LoadResult {
  /** Operations that succeeded, per second. */
  rate: number;
  p50Ms: number;
  p99Ms: number;
  operations: number;
  /** Answers with 5xx, and broken connections. */
  serverErrors: number;
}

interface Load {
  clients: number;
  seconds: number;
  /** One operation; answers the number of successful units (0 when refused with 5xx). Undefined ends this client. */
  operate: (client: number) => Promise<number | undefined>;
}

/** Keeps `clients` loops busy for `seconds`; a closed loop, so a slow server is asked less, as by real clients. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const latencies: number[] = [];
  let units = 0;
  let serverErrors = 0;
  const startedAt = performance.now();
  const endAt = startedAt + load.seconds * 1000;
  const loop = async (client: number): Promise<void> => {
    while (performance.now() < endAt) {
      const before = performance.now();
      const done = await load.operate(client);
      if (done === undefined) {
        return;
      }
      latencies.push(performance.now() - before);
      units += done;
      serverErrors += done === 0 ? 1 : 0;
    }
  };
  await Promise.all(Array.from({ length: load.clients }, (_, client) => loop(client)));
  const elapsedSeconds = (performance.now() - startedAt) / 1000;
  return {
    rate: units / elapsedSeconds,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    operations: units,
    serverErrors,
  };
}

/** Of values in any order. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
