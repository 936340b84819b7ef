import { PREFECT_VERSION } from "../../src/prefect-api/primitives.ts";
import type { Upstream } from "./relay-deps.ts";

const ANSWER_MS = 3000;

/**
 * The server's version as JSON text. Engines ask for it by a client that does not try again (surface §1.1), so while the
 * plane is away it is the one that it had, or the one that Flowyard speaks.
 */
export class ServerVersion {
  readonly #upstream: Upstream;
  #last = JSON.stringify(PREFECT_VERSION);

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  async find(): Promise<string> {
    const { apiUrl, authorization } = this.#upstream;
    try {
      const response = await fetch(`${apiUrl}/admin/version`, {
        headers: authorization === undefined ? {} : { authorization },
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      const text = await response.text();
      this.#last = response.ok ? text : this.#last;
    } catch {
      // Away: what is known has to do.
    }
    return this.#last;
  }
}
