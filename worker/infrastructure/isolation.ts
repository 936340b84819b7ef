import { posix } from "node:path";
import { z } from "zod";
import type { ContainerOptions } from "../../src/docker/containers.ts";
import { UserError } from "../../src/shared/errors.ts";

/**
 * What jobs may ask for that reaches beyond their container: `privileged`, `host-network`, `bind:/path` (that folder and
 * what is in it), `*`. Undefined: whatever they like, as with Prefect's worker.
 */
export type Allowed = readonly string[] | undefined;

const AllowedWord = z
  .string()
  .regex(
    /^(?:privileged|host-network|\*|bind:\/.*)$/,
    'must be "none", or of "privileged", "host-network", "bind:/path" and "*"',
  );

/** `none`, or words with commas between. */
export const AllowList = z
  .string()
  .transform((text) => text.split(",").map((word) => word.trim()))
  .pipe(z.union([z.tuple([z.literal("none")]).transform(() => []), z.array(AllowedWord)]));

/** With the default of the engine a container may have as many processes as its host. */
const PIDS_LIMIT = 4096;

type HostConfig = NonNullable<ContainerOptions["HostConfig"]>;

/** What every container gets unless its job says otherwise: it can gain no rights, and cannot fork without end. */
export function addDefaults(hostConfig: HostConfig): HostConfig {
  const given: string[] = hostConfig.SecurityOpt ?? [];
  const isDecided = hostConfig.Privileged === true || given.some((option) => option.startsWith("no-new-privileges"));
  return {
    ...hostConfig,
    SecurityOpt: isDecided ? given : [...given, "no-new-privileges"],
    PidsLimit: hostConfig.PidsLimit ?? PIDS_LIMIT,
  };
}

interface Question {
  hostConfig: HostConfig;
  /** The network mode that the job named; what the worker chooses itself is no question. */
  networkMode: string | undefined;
  /** `unix:///var/run/docker.sock`: whoever has it has the host. */
  engineUrl: string;
  /** Of the worker, and of the pool: neither can be widened by the other, or by a deployment. */
  allowed: readonly Allowed[];
}

/** Throws JOB_INVALID naming each thing that the operator does not allow. Pure. */
export function checkIsolation({ hostConfig, networkMode, engineUrl, allowed }: Question): void {
  const sources = listBindSources(hostConfig);
  const sockets = sources.filter((source) => reachesSocket(source, engineUrl));
  if (sockets.length > 0) {
    throw new UserError("JOB_INVALID", `The Docker engine's socket is never given to a run: ${quote(sockets)}.`, {
      hint: "Whoever has the socket has the whole host. Mount the folders that the flow needs one by one.",
    });
  }
  const wishes = [
    ...listPrivileges(hostConfig).map((what) => ({ what, word: "privileged" })),
    ...(reachesNetwork(networkMode) ? [{ what: `network_mode "${networkMode}"`, word: "host-network" }] : []),
    ...sources.map((source) => ({ what: `the mount of "${source}"`, word: `bind:${source}` })),
  ];
  const refused = wishes.filter(({ word }) => !allowed.every((list) => isAllowed(list, word)));
  if (refused.length > 0) {
    const words = [...new Set(refused.map(({ word }) => word))].join(",");
    throw new UserError("JOB_INVALID", `Not allowed here: ${refused.map(({ what }) => what).join(", ")}.`, {
      hint: `The operator may allow it: FLOWYARD_WORKER_ALLOW=${words} on the worker, and "allow" in the job_configuration of the work pool's base job template where that is set.`,
    });
  }
}

function isAllowed(list: Allowed, word: string): boolean {
  if (list === undefined) {
    return true;
  }
  return list.some((entry) => entry === "*" || entry === word || isInside(entry, word));
}

function isInside(entry: string, word: string): boolean {
  if (!entry.startsWith("bind:") || !word.startsWith("bind:")) {
    return false;
  }
  const folder = posix.normalize(`${entry.slice("bind:".length)}/`);
  return posix.normalize(`${word.slice("bind:".length)}/`).startsWith(folder);
}

const HOST_MOUNTS: ReadonlySet<string> = new Set(["bind", "npipe"]);

/** Everything but a named volume: of those the engine decides where they are. */
function listBindSources({ Binds = [], Mounts = [] }: HostConfig): string[] {
  const bound = (Binds ?? []).map((bind) => bind.split(":")[0] ?? "").filter((source) => /[/\\]/.test(source));
  const mounted = Mounts.filter(({ Type }) => HOST_MOUNTS.has(Type)).map(({ Source }) => Source);
  return [...bound, ...mounted].map((source) => posix.normalize(source));
}

const USUAL_SOCKETS = [
  "/var/run/docker.sock",
  "/run/docker.sock",
  "/run/podman/podman.sock",
  "/var/run/podman/podman.sock",
];

/** A folder above the socket holds it, too. */
function reachesSocket(source: string, engineUrl: string): boolean {
  const sockets = [...USUAL_SOCKETS, ...(engineUrl.startsWith("unix://") ? [engineUrl.slice("unix://".length)] : [])];
  const folder = posix.normalize(`${source}/`);
  return sockets.some((socket) => posix.normalize(`${socket}/`).startsWith(folder));
}

function reachesNetwork(mode: string | undefined): boolean {
  return mode === "host" || mode?.startsWith("container:") === true;
}

function listPrivileges(hostConfig: HostConfig): string[] {
  const { Privileged, CapAdd, Devices, SecurityOpt, VolumesFrom, CgroupParent, Mounts = [] } = hostConfig;
  const options: string[] = SecurityOpt ?? [];
  const isShared = (mode: unknown) => typeof mode === "string" && /^(?:host$|container:)/.test(mode);
  const shared = (["PidMode", "IpcMode", "UTSMode", "UsernsMode", "CgroupnsMode"] as const).filter((key) =>
    isShared(Reflect.get(hostConfig, key)),
  );
  return [
    ...(Privileged === true ? ["privileged"] : []),
    ...(isFilled(CapAdd) ? ["cap_add"] : []),
    ...(isFilled(Devices) ? ["devices"] : []),
    ...(isFilled(VolumesFrom) ? ["volumes_from"] : []),
    ...(CgroupParent ? ["cgroup_parent"] : []),
    ...options.filter((option) => !/^no-new-privileges(?:[:=]true)?$/.test(option)),
    ...Mounts.filter((mount) => mount.VolumeOptions?.DriverConfig !== undefined).map(
      () => "a volume with a driver of its own",
    ),
    ...shared.map((key) => `${key} of the host or another container`),
  ];
}

function isFilled(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0;
}

function quote(texts: readonly string[]): string {
  return texts.map((text) => `"${text}"`).join(", ");
}
