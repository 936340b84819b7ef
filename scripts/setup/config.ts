import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";

/** What the set-up reads from the environment. */
const SetupEnvironment = z.object({
  DOCKER_HOST: z.string().min(1).optional(),
  XDG_CACHE_HOME: z.string().startsWith("/").optional(),
  SSL_CERT_FILE: z.string().min(1).optional(),
  CI: z.string().optional(),
});

// biome-ignore lint/style/noProcessEnv: the one place where the set-up reads the environment
const environment = SetupEnvironment.parse(process.env);

export const dockerHost = environment.DOCKER_HOST;

/** A run in CI must not pass by skipping. */
export const isCi = environment.CI === "true" || environment.CI === "1";

/** Costly parts live here, per user and not per checkout: a fresh clone on the same machine finds them made. */
export const cacheDirectory = join(environment.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "flowyard");

/** State of this checkout; ignored by git. */
export const stateDirectory = join(import.meta.dirname, "../../.flowyard");

/** The machine's own certificate authorities: images made here need them where a proxy re-signs the registries. */
export const caBundle = environment.SSL_CERT_FILE ?? "/etc/ssl/certs/ca-certificates.crt";
