import { createPrefectClient, type PrefectClient } from "../client/prefect-client.ts";
import { UserError } from "../shared/errors.ts";
import type { Step } from "./step.ts";

/**
 * The server that inputs and environment name. A stopped job cuts no request off at once: a release that is being
 * applied is finished, so that its end is known; but nothing is tried again, as the runner kills the step after ten
 * seconds. Throws UserError INPUT_INVALID.
 */
export function connectServer({
  inputs,
  config,
  signal,
  cutOff,
  runner,
}: Pick<Step, "inputs" | "config" | "signal" | "cutOff" | "runner">): PrefectClient {
  const apiUrl = inputs["server-url"] ?? config.PREFECT_API_URL;
  if (apiUrl === undefined) {
    throw new UserError("INPUT_INVALID", "The action does not know the server: the input server-url is empty.", {
      hint: "Set server-url to the API of the plane, such as https://flows.example.org/api.",
    });
  }
  return createPrefectClient({
    apiUrl,
    authString: inputs["auth-string"] ?? (inputs["api-key"] === undefined ? config.PREFECT_API_AUTH_STRING : undefined),
    apiKey: inputs["api-key"] ?? config.PREFECT_API_KEY,
    patience: signal,
    signal: cutOff,
    onRetry({ error, delayMs, patienceMs }) {
      const [next, last] = [delayMs, patienceMs].map((ms) => Math.max(1, Math.round(ms / 1000)));
      runner.info(`The plane does not answer: trying again in ${next} s, and for ${last} s at most. ${error.message}`);
    },
  });
}
