import { z } from "zod";
import { UserError } from "../shared/errors.ts";

const Text = z
  .string()
  .optional()
  .transform((text) => (text === undefined || text === "" ? undefined : text));
const Url = z.url({ protocol: /^https?$/ });

/** What the runner says about the GitHub run, and what the workflow may hand over by environment instead of inputs. */
export const ActionConfig = z.object({
  GITHUB_EVENT_NAME: z.string().min(1),
  GITHUB_EVENT_PATH: Text,
  GITHUB_REPOSITORY: z.string().regex(/^[^/\s]+\/[^/\s]+$/),
  GITHUB_SHA: Text,
  GITHUB_REF: Text,
  GITHUB_ACTOR: Text,
  GITHUB_RUN_ID: Text,
  GITHUB_JOB: Text,
  GITHUB_ACTION: Text,
  GITHUB_SERVER_URL: Url.default("https://github.com"),
  GITHUB_API_URL: Url.default("https://api.github.com"),
  GITHUB_WORKSPACE: Text,
  GITHUB_TOKEN: Text,
  RUNNER_TEMP: Text,
  PREFECT_API_URL: Text,
  PREFECT_API_KEY: Text,
  PREFECT_API_AUTH_STRING: Text,
});
export type ActionConfig = z.infer<typeof ActionConfig>;

/** The variables of this process; everything else gets them handed in. */
export function readEnvironment(): NodeJS.ProcessEnv {
  // biome-ignore lint/style/noProcessEnv: the one place that reads it
  return process.env;
}

/** Throws UserError CONFIG_INVALID naming every variable that is wrong. */
export function parseActionConfig(environment: Record<string, string | undefined>): ActionConfig {
  const parsed = ActionConfig.safeParse(environment);
  if (parsed.success) {
    return parsed.data;
  }
  const problems = parsed.error.issues.map(({ path, message }) => `${String(path[0])}: ${message}.`);
  throw new UserError("CONFIG_INVALID", `The runner's environment is not that of a GitHub job. ${problems.join(" ")}`, {
    hint: "Run the action in a GitHub workflow; on the command line use `flowyard deploy`.",
  });
}

/**
 * The environment that `prefect.yaml` templates and steps see: that of the job, less the action's own inputs, which
 * hold credentials.
 */
export function buildStepEnvironment(environment: Record<string, string | undefined>): Record<string, string> {
  const hidden = /^(INPUT_|ACTIONS_(ID_TOKEN|RUNTIME)_)/;
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]): [string, string][] =>
      value === undefined || hidden.test(name) ? [] : [[name, value]],
    ),
  );
}
