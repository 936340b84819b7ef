import { randomUUID } from "node:crypto";
import { sleep } from "../../src/shared/abort.ts";
import { UserError } from "../../src/shared/errors.ts";
import type { Logger } from "../../src/shared/logger.ts";
import { KEEP_OR_REFUSE_HEADER } from "./keep-or-refuse.ts";
import { buildRunAuthString } from "./run-token.ts";

const ANSWER_MS = 5000;
const LOOK_MS = 10_000;

/**
 * Whether a relay is at the URL that was named, by leaving no lines there. An absent one may come, and it may be that
 * only containers reach it. Throws UserError RELAY_NOT_OURS for one, or something else, that knows no token of ours.
 */
export async function findRelay(apiUrl: string, secret: string): Promise<boolean> {
  const token = buildRunAuthString(secret, { flow_run_id: randomUUID(), fencing_token: null, use: "worker" });
  const authorization = `Basic ${Buffer.from(token).toString("base64")}`;
  let status: number;
  try {
    const response = await fetch(`${apiUrl.replace(/\/+$/, "")}/logs/`, {
      method: "POST",
      headers: { authorization, [KEEP_OR_REFUSE_HEADER]: "1" },
      body: "[]",
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    await response.body?.cancel();
    status = response.status;
  } catch {
    return false;
  }
  if (status >= 500) {
    return false;
  }
  if (status !== 201) {
    throw new UserError(
      "RELAY_NOT_OURS",
      `FLOWYARD_WORKER_RELAY is ${apiUrl}, and what answers there (${status}) does not know this worker's runs.`,
      { hint: "It must be a relay with the same `relay/secret` under its FLOWYARD_HOME, and the URL end in /api." },
    );
  }
  return true;
}

/** Tells of a relay that cannot be reached, and that it can again, until the signal aborts. */
export async function watchNamedRelay(
  { apiUrl, secret, logger }: { apiUrl: string; secret: string; logger: Logger },
  isThere: boolean,
  signal: AbortSignal,
): Promise<void> {
  let wasThere = isThere;
  while (!signal.aborted) {
    await sleep(LOOK_MS, signal);
    const isNow = signal.aborted ? wasThere : await findRelay(apiUrl, secret).catch(() => false);
    if (isNow !== wasThere) {
      tell(logger, apiUrl, isNow);
    }
    wasThere = isNow;
  }
}

export function tell(logger: Logger, relay: string, isThere: boolean): void {
  if (isThere) {
    logger.info({ relay }, "The relay can be reached");
  } else {
    logger.warn(
      { relay, code: "RELAY_UNAVAILABLE" },
      "The relay that FLOWYARD_WORKER_RELAY names cannot be reached from here; runs need it",
    );
  }
}
