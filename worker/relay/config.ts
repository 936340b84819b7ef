import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../../src/shared/errors.ts";
import { RELAY_LIMIT_VARIABLES, readRelayLimits } from "./relay-limits.ts";
import type { RelaySettings } from "./start-relay.ts";

const MAX_PORT = 65_535;

/** What the relay reads from its environment, besides what the worker reads too. */
export const RelayConfig = z.object({
  PREFECT_API_URL: z.url({ protocol: /^https?$/, error: "must be an http or https URL, normally ending in /api" }),
  PREFECT_API_AUTH_STRING: z.string().optional(),
  PREFECT_API_KEY: z.string().optional(),
  FLOWYARD_HOME: z.string().min(1).default(join(homedir(), ".flowyard")),
  FLOWYARD_RELAY_HOSTS: z
    .string()
    .default("127.0.0.1")
    .transform((text) => text.split(",").map((host) => host.trim())),
  FLOWYARD_RELAY_PORT: z.coerce.number().int().min(0).max(MAX_PORT).default(0),
  ...RELAY_LIMIT_VARIABLES,
  FLOWYARD_LOG_FORMAT: z.enum(["text", "json"], { error: 'must be "text" or "json"' }).default("text"),
});

/** Where a relay's secret, spool and registration are, under the worker's home. */
export function relayFolder(flowyardHome: string): string {
  return join(flowyardHome, "relay");
}

/** Throws UserError CONFIG_INVALID with all problems at once. */
export function loadRelaySettings(
  environment: Record<string, string | undefined>,
): RelaySettings & { logFormat: "text" | "json" } {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
  const parsed = RelayConfig.safeParse(set);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${String(path[0])}: ${message}`);
    throw new UserError("CONFIG_INVALID", problems.join("\n"), { hint: "docs/configuration.md lists every variable." });
  }
  const config = parsed.data;
  return {
    api: {
      apiUrl: config.PREFECT_API_URL.replace(/\/+$/, ""),
      authString: config.PREFECT_API_AUTH_STRING,
      apiKey: config.PREFECT_API_KEY,
    },
    folder: relayFolder(config.FLOWYARD_HOME),
    hosts: config.FLOWYARD_RELAY_HOSTS,
    port: config.FLOWYARD_RELAY_PORT,
    limits: readRelayLimits(config),
    logFormat: config.FLOWYARD_LOG_FORMAT,
  };
}
