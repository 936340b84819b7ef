import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../shared/errors.ts";
import { buildUnknownProfile, loadProfiles, type ProfileFile } from "./profiles.ts";

export const DEFAULT_API_URL = "http://127.0.0.1:4200/api";

const Switch = z
  .string()
  .transform((text) => text.trim().toLowerCase())
  .pipe(z.enum(["1", "true", "yes", "on", "0", "false", "no", "off"], { error: "must be 1 or 0" }))
  .transform((word) => ["1", "true", "yes", "on"].includes(word));
const ApiUrl = z.url({
  protocol: /^https?$/,
  error: "must be an http or https URL, such as http://127.0.0.1:4200/api",
});

/**
 * The settings that a profile can hold, with what each may be. The same name in the environment wins.
 * `secret` ones are not shown unless asked for.
 */
export const SETTINGS = {
  PREFECT_API_URL: { schema: ApiUrl, secret: false, says: "API of the control plane" },
  PREFECT_API_AUTH_STRING: { schema: z.string(), secret: true, says: "basic auth, user:password" },
  PREFECT_API_KEY: { schema: z.string(), secret: true, says: "bearer key; the auth string wins" },
  PREFECT_CLI_PROMPT: { schema: Switch, secret: false, says: "whether commands may ask questions" },
  PREFECT_DEFAULT_WORK_POOL_NAME: { schema: z.string(), secret: false, says: "pool of deployments that name none" },
  PREFECT_DEFAULT_DOCKER_BUILD_NAMESPACE: {
    schema: z.string(),
    secret: false,
    says: "put before image names that have no namespace",
  },
} as const;
export type SettingName = keyof typeof SETTINGS;

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

/** What every command reads from its environment and profile. */
export const CliConfig = z.object({
  PREFECT_API_URL: ApiUrl.default(DEFAULT_API_URL),
  PREFECT_API_AUTH_STRING: z.string().optional(),
  PREFECT_API_KEY: z.string().optional(),
  PREFECT_CLI_PROMPT: Switch.optional(),
  PREFECT_DEFAULT_WORK_POOL_NAME: z.string().optional(),
  PREFECT_DEFAULT_DOCKER_BUILD_NAMESPACE: z.string().optional(),
});

export type CliConfig = z.infer<typeof CliConfig>;

/** Where settings come from, before they are checked: `config` and `profile` must work on wrong ones too. */
export interface ConfigSources {
  /** Folder of the profile file. */
  home: string;
  profiles: ProfileFile;
  profileName: string;
  /** The environment over the profile's settings: what the processes that we start read. */
  environment: Record<string, string>;
  /** Without the profile's. */
  ownEnvironment: Record<string, string>;
}

/** The variables of this process; everything else gets them handed in. */
export function readEnvironment(): NodeJS.ProcessEnv {
  // biome-ignore lint/style/noProcessEnv: the one place that reads it
  return process.env;
}

/** `profileName` is `--profile`; the file's active profile when left out. Throws UserError CONFIG_INVALID. */
export function loadConfigSources(env: NodeJS.ProcessEnv, profileName: string | undefined): ConfigSources {
  const ownEnvironment = readSecretFiles(dropEmpty(env));
  const { FLOWYARD_HOME: home = join(homedir(), ".flowyard") } = ownEnvironment;
  const profiles = loadProfiles(home);
  const name = profileName ?? profiles.active;
  if (profileName !== undefined && profiles.profiles[name] === undefined) {
    throw buildUnknownProfile(profiles, name);
  }
  return {
    home,
    profiles,
    profileName: name,
    environment: { ...profiles.profiles[name], ...ownEnvironment },
    ownEnvironment,
  };
}

/** Throws UserError CONFIG_INVALID naming every variable that is wrong. */
export function parseCliConfig({ environment, ownEnvironment, profileName }: ConfigSources): CliConfig {
  const parsed = CliConfig.safeParse(environment);
  if (parsed.success) {
    return parsed.data;
  }
  const problems = parsed.error.issues.map(({ path, message }) => {
    const variable = String(path[0]);
    const from = variable in ownEnvironment ? "the environment" : `profile "${profileName}"`;
    const secret = isSettingName(variable) && SETTINGS[variable].secret;
    return `${variable}${secret ? "" : ` is ${JSON.stringify(environment[variable])}`} in ${from}: ${message}.`;
  });
  throw new UserError("CONFIG_INVALID", problems.join("\n"));
}

/** An empty variable counts as unset, as with Prefect. */
function dropEmpty(env: NodeJS.ProcessEnv): Record<string, string> {
  const entries = Object.entries(env).flatMap(([name, value]): [string, string][] =>
    value === undefined || value === "" ? [] : [[name, value]],
  );
  return Object.fromEntries(entries);
}

/** A secret may come as the path of a file, `PREFECT_API_AUTH_STRING_FILE`, as container platforms mount them. */
function readSecretFiles(env: Record<string, string>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, { secret }] of Object.entries(SETTINGS)) {
    const file = env[`${name}_FILE`];
    if (!secret || file === undefined || env[name] !== undefined) {
      continue;
    }
    try {
      found[name] = readFileSync(file, "utf8").trim();
    } catch (cause) {
      throw new UserError("CONFIG_INVALID", `${name}_FILE names "${file}", which cannot be read.`, { cause });
    }
  }
  return { ...env, ...found };
}
