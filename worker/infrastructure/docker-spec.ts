import { resolve } from "node:path";
import { split } from "shlex";
import { z } from "zod";
import type { ContainerOptions } from "../../src/docker/containers.ts";
import { parseImageReference } from "../../src/docker/images.ts";
import type { RegistryCredentials } from "../../src/docker/registry-credentials.ts";
import { JsonObject, PREFECT_VERSION } from "../../src/prefect-api/primitives.ts";
import { errorMessage, UserError } from "../../src/shared/errors.ts";
import { DIRECT_IN_IMAGE } from "../jobs/engine.ts";
import { type Job, parseConfiguration } from "../jobs/job.ts";
import { routeThroughRelay } from "../relay/run-environment.ts";
import { factsToLabels } from "../runs/run-facts.ts";
import { convertCreateKwargs, parseBytes } from "./docker-create-kwargs.ts";
import type { WatchOptions } from "./docker-run.ts";
import { type Allowed, AllowList, addDefaults, checkIsolation } from "./isolation.ts";

type PullPolicy = "IfNotPresent" | "Always" | "IfPossible" | "Never";

/** What the engine is asked to do for one run. */
export interface ContainerSpec {
  /** The engine chooses when undefined. */
  name: string | undefined;
  options: ContainerOptions;
  image: string;
  pullPolicy: PullPolicy;
  credentials: RegistryCredentials | undefined;
  /** Joined between create and start; the first network is part of `options`. */
  furtherNetworks: string[];
  watch: WatchOptions;
  /** The job says itself whether its first process is an init. */
  decidesInit: boolean;
  /** What was ignored, for the worker's log. */
  notes: string[];
}

/** The machine that the worker runs on: rules about `localhost` depend on it. */
export interface WorkerHost {
  platform: NodeJS.Platform;
  engineVersion: string;
  engineUrl: string;
  /** What its operator lets jobs ask for. */
  allow: Allowed;
  workingDirectory: string;
}

/** How the container is to be watched, for whoever adopts it. */
export const WATCH_LABEL = "io.flowyard.watch";

const DEFAULT_IMAGE = `prefecthq/prefect:${PREFECT_VERSION}-python3.11`;
const DEFAULT_COMMAND = "prefect flow-run execute";
const MAX_NAME_CHARACTERS = 250; // Docker has no limit, URLs do
const LOCAL_HOST = /localhost|127\.0\.0\.1|host\.docker\.internal/;

const Flag = z.union([
  z.boolean(),
  z
    .enum(["true", "1", "yes", "on", "false", "0", "no", "off"], { error: "must be true or false" })
    .transform((word) => ["true", "1", "yes", "on"].includes(word)),
]);
const MemoryLimit = z
  .union([z.string(), z.number()])
  .nullish()
  .transform((value) => (value === null || value === undefined || value === "" ? undefined : String(value)));

/** The docker worker's own keys of a job configuration (surface §5.2). */
const DockerConfiguration = z.object({
  image: z
    .string()
    .nullish()
    .transform((image) => image || DEFAULT_IMAGE),
  registry_credentials: z
    .object({ username: z.string(), password: z.string(), registry_url: z.string() })
    .nullish()
    .transform((credentials) => credentials ?? undefined),
  image_pull_policy: z.enum(["IfNotPresent", "Always", "IfPossible", "Never"]).nullish(),
  networks: z
    .array(z.string())
    .nullish()
    .transform((networks) => networks ?? []),
  network_mode: z.string().nullish(),
  auto_remove: Flag.nullish(),
  volumes: z
    .array(z.string())
    .nullish()
    .transform((volumes) => volumes ?? []),
  stream_output: Flag.nullish(),
  mem_limit: MemoryLimit,
  memswap_limit: MemoryLimit,
  privileged: Flag.nullish(),
  container_create_kwargs: JsonObject.nullish(),
  container_wait_timeout: z.coerce.number().int().positive().nullish(),
  /** Of the pool's template alone: no job variable fills it, so that a deployment cannot widen it. */
  allow: AllowList.nullish(),
});
type DockerConfiguration = z.infer<typeof DockerConfiguration>;

/**
 * Turns a job into what the engine is told, by the rules of Prefect's docker worker (surface §5.3; prefect-docker 0.7.4).
 * Pure. Throws JOB_INVALID.
 */
export function buildContainerSpec(job: Job, host: WorkerHost): ContainerSpec {
  const configuration = parseConfiguration(DockerConfiguration, job.configuration);
  const notes: string[] = [];
  const { networks } = configuration;
  const networkMode = decideNetworkMode(configuration, job, host);
  const kwargs = selectCreateKwargs(configuration, notes);
  const extraHosts = decideExtraHosts(job, networkMode, host, kwargs["extra_hosts"]);
  const { extra_hosts: _, ...ownKwargs } = kwargs;
  const further = convertCreateKwargs(ownKwargs);
  const volumes = configuration.volumes.map((volume) => parseVolume(volume, host.workingDirectory));
  const [firstNetwork, ...furtherNetworks] = networks;
  const hostConfig = {
    ...(networkMode === undefined ? {} : { NetworkMode: networkMode }),
    ...(firstNetwork === undefined ? {} : { NetworkMode: firstNetwork }),
    ...(extraHosts.length === 0 ? {} : { ExtraHosts: extraHosts }),
    Binds: volumes.flatMap(({ bind }) => (bind === undefined ? [] : [bind])),
    ...(configuration.mem_limit === undefined ? {} : { Memory: parseBytes(configuration.mem_limit) }),
    ...(configuration.memswap_limit === undefined ? {} : { MemorySwap: parseBytes(configuration.memswap_limit) }),
    Privileged: configuration.privileged ?? false,
    // Never the engine's own: its removal does not wait for the output and the exit code to be stored.
    AutoRemove: false,
  };
  Object.assign(hostConfig, further.hostConfig);
  checkIsolation({
    hostConfig,
    networkMode: configuration.network_mode ?? firstNetwork,
    engineUrl: host.engineUrl,
    allowed: [host.allow, configuration.allow ?? undefined],
  });
  const watch: WatchOptions = {
    stream_output: configuration.stream_output ?? true,
    auto_remove: configuration.auto_remove ?? false,
    mem_limit: configuration.mem_limit,
    wait_timeout_seconds: configuration.container_wait_timeout ?? undefined,
  };
  const options: ContainerOptions = {
    Image: configuration.image,
    Cmd: job.engine === "direct" ? [...DIRECT_IN_IMAGE] : splitCommand(job.command ?? DEFAULT_COMMAND),
    Env: Object.entries(buildEnvironment(job, networkMode)).map(([name, value]) => `${name}=${value}`),
    Labels: {
      ...buildDockerLabels(job.labels),
      ...factsToLabels(job.facts),
      [WATCH_LABEL]: JSON.stringify(watch),
    },
    Volumes: Object.fromEntries(volumes.map(({ path }) => [path, {}])),
    HostConfig: addDefaults(hostConfig),
    ...(firstNetwork === undefined ? {} : { NetworkingConfig: { EndpointsConfig: { [firstNetwork]: {} } } }),
  };
  return {
    name: slugifyContainerName(job.name),
    options: Object.assign(options, further.config),
    image: configuration.image,
    pullPolicy: configuration.image_pull_policy ?? decidePullPolicy(configuration.image),
    credentials: buildCredentials(configuration),
    furtherNetworks,
    watch,
    decidesInit: "Init" in further.hostConfig,
    notes,
  };
}

/** As Kubernetes does: `latest` or no tag may have moved, anything else is looked for here first. */
export function decidePullPolicy(image: string): PullPolicy {
  const { tag, digest } = parseImageReference(image);
  return digest === undefined && (tag === undefined || tag === "latest") ? "Always" : "IfNotPresent";
}

function decideNetworkMode(configuration: DockerConfiguration, job: Job, host: WorkerHost): string | undefined {
  const { network_mode, networks } = configuration;
  if (networks.length > 0) {
    return undefined;
  }
  if (network_mode) {
    return network_mode;
  }
  const apiUrl = URL.parse(job.env["PREFECT_API_URL"] ?? "");
  const isLocal = apiUrl?.hostname === "localhost" || apiUrl?.hostname === "127.0.0.1";
  return host.platform === "linux" && isLocal ? "host" : undefined;
}

/** Inside a container `localhost` is the container itself; a URL that the user set stays as it is. */
function buildEnvironment(job: Job, networkMode: string | undefined): Record<string, string> {
  if (job.relay !== undefined) {
    return routeThroughRelay(job.env, job.relay, networkMode === "host" ? "127.0.0.1" : "host.docker.internal");
  }
  const apiUrl = job.env["PREFECT_API_URL"];
  if (apiUrl === undefined || networkMode === "host" || Object.hasOwn(job.userEnv, "PREFECT_API_URL")) {
    return job.env;
  }
  return { ...job.env, PREFECT_API_URL: apiUrl.replaceAll(/localhost|127\.0\.0\.1/g, "host.docker.internal") };
}

const ExtraHosts = z.union([
  z.record(z.string(), z.string()),
  z.array(z.string()).transform((entries) =>
    Object.fromEntries(
      entries.flatMap((entry) => {
        const colon = entry.indexOf(":");
        return colon === -1 ? [] : [[entry.slice(0, colon), entry.slice(colon + 1)]];
      }),
    ),
  ),
]);

/** Docker Desktop knows `host.docker.internal` by itself; on Linux it must be told (engine 20.10 and later). */
function decideExtraHosts(job: Job, networkMode: string | undefined, host: WorkerHost, given: unknown): string[] {
  const apiUrl = buildEnvironment(job, networkMode)["PREFECT_API_URL"];
  const [major = 0, minor = 0] = host.engineVersion.split(".").map((part) => Number.parseInt(part, 10));
  const needsGateway =
    host.platform === "linux" &&
    (major > 20 || (major === 20 && minor >= 10)) &&
    (apiUrl === undefined || LOCAL_HOST.test(apiUrl));
  const parsed = ExtraHosts.safeParse(given ?? {});
  if (!parsed.success) {
    throw new UserError("JOB_INVALID", '"container_create_kwargs.extra_hosts" must map host names to addresses.');
  }
  const hosts = { ...(needsGateway ? { "host.docker.internal": "host-gateway" } : {}), ...parsed.data };
  return Object.entries(hosts).map(([name, address]) => `${name}:${address}`);
}

/** Keys that have a job variable of their own are dropped, as Prefect does. */
function selectCreateKwargs(configuration: DockerConfiguration, notes: string[]): JsonObject {
  const kwargs = configuration.container_create_kwargs ?? {};
  if (configuration.network_mode && configuration.networks.length > 0) {
    notes.push(
      `network_mode ${configuration.network_mode} is ignored: a container in named networks has no other mode.`,
    );
  }
  if ("volumes" in kwargs) {
    notes.push("container_create_kwargs.volumes is ignored: use the job variable volumes.");
  }
  const own = new Set(["command", "env", "labels", "name", ...Object.keys(DockerConfiguration.shape)]);
  return Object.fromEntries(Object.entries(kwargs).filter(([key]) => !own.has(key)));
}

/** `prefect.io/flow-id` → `io.prefect.flow-id`: Docker's labels are reverse domain names. */
function buildDockerLabels(labels: Record<string, string>): Record<string, string> {
  const flipped = Object.entries(labels).map(([name, value]) => {
    const [namespace = "", ...rest] = name.split("/");
    return [rest.length === 0 ? name : `${namespace.split(".").reverse().join(".")}.${rest.join("/")}`, value] as const;
  });
  return { ...Object.fromEntries(flipped), "io.prefect.version": PREFECT_VERSION };
}

/** Docker takes `[a-zA-Z0-9][a-zA-Z0-9_.-]*`; undefined when nothing of the name is left. */
export function slugifyContainerName(name: string): string | undefined {
  const slug = name
    .normalize("NFKD")
    .replaceAll(/\p{M}+/gu, "")
    .replaceAll(/(?<=\d),(?=\d)/g, "")
    .replaceAll(/[^a-zA-Z0-9_.-]+/g, "-")
    .replaceAll(/-{2,}/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, MAX_NAME_CHARACTERS)
    .replace(/^[_.-]+/, "");
  return slug === "" ? undefined : slug;
}

function splitCommand(command: string): string[] {
  try {
    return split(command);
  } catch (cause) {
    throw new UserError(
      "JOB_INVALID",
      `The command ${JSON.stringify(command)} cannot be split: ${errorMessage(cause)}`,
      {
        hint: "Close every quote in the job variable command.",
        cause,
      },
    );
  }
}

interface Volume {
  /** Path in the container. */
  path: string;
  /** `source:path[:mode]`; undefined for an anonymous volume. */
  bind: string | undefined;
}

const VOLUME = /^(?<source>(?:[A-Za-z]:\\|\\\\|\/)?[^:]+):(?<path>[^:]+)(?::(?<mode>.+))?$/;
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** `host:path[:ro|rw]`, `volume:path[:ro|rw]` or `/path`; a relative host part starts at the worker's folder. */
export function parseVolume(text: string, workingDirectory: string): Volume {
  const volume = text.trim();
  if (/^\/[^:]+$/.test(volume)) {
    return { path: volume, bind: undefined };
  }
  const { source = "", path = "", mode } = VOLUME.exec(volume)?.groups ?? {};
  const isRelative = /^\.{1,2}(?:[/\\]|$)/.test(source);
  const isAbsolute = /^(?:\/|[A-Za-z]:\\|\\\\)/.test(source);
  const problem = findVolumeProblem({ source, path, mode, isBind: isRelative || isAbsolute });
  if (problem !== undefined) {
    throw new UserError("JOB_INVALID", `The volume ${JSON.stringify(text)} cannot be mounted: ${problem}.`, {
      hint: "Write host:path, volume:path or /path, with :ro or :rw behind it if need be.",
    });
  }
  const from = isRelative ? resolve(workingDirectory, source) : source;
  return { path, bind: `${from}:${path}${mode === undefined ? "" : `:${mode}`}` };
}

function findVolumeProblem(parts: {
  source: string;
  path: string;
  mode: string | undefined;
  isBind: boolean;
}): string | undefined {
  if (parts.source === "") {
    return "it has no host part and path";
  }
  if (!parts.path.startsWith("/")) {
    return `the path in the container must begin with "/", not be "${parts.path}"`;
  }
  if (!parts.isBind && !VOLUME_NAME.test(parts.source)) {
    return `"${parts.source}" is no name of a volume, and no path (shell expressions such as $(pwd) are not evaluated)`;
  }
  return parts.mode === undefined || parts.mode === "ro" || parts.mode === "rw"
    ? undefined
    : `"${parts.mode}" is neither ro nor rw`;
}

function buildCredentials({ registry_credentials }: DockerConfiguration): RegistryCredentials | undefined {
  return registry_credentials === undefined
    ? undefined
    : {
        username: registry_credentials.username,
        password: registry_credentials.password,
        serveraddress: registry_credentials.registry_url,
      };
}
