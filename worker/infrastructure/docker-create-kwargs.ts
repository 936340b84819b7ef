import { split } from "shlex";
import { z } from "zod";
import type { JsonObject } from "../../src/prefect-api/primitives.ts";
import { UserError } from "../../src/shared/errors.ts";

/**
 * `container_create_kwargs` are docker-py's keyword arguments of `containers.create` (docker-py 7, documentation of
 * containers.run). Here each is turned into the key of the engine's API that docker-py sends for it.
 */
interface EngineKeys {
  /** Keys beside `Image`. */
  config: JsonObject;
  /** Keys inside `HostConfig`. */
  hostConfig: JsonObject;
}

/** Sent as they are; the engine checks them. */
const CONFIG_KEYS: Record<string, string> = {
  domainname: "Domainname",
  healthcheck: "Healthcheck",
  hostname: "Hostname",
  mac_address: "MacAddress",
  network_disabled: "NetworkDisabled",
  platform: "platform",
  stdin_open: "OpenStdin",
  stop_signal: "StopSignal",
  tty: "Tty",
  working_dir: "WorkingDir",
};
const HOST_CONFIG_KEYS: Record<string, string> = {
  blkio_weight: "BlkioWeight",
  blkio_weight_device: "BlkioWeightDevice",
  cap_add: "CapAdd",
  cap_drop: "CapDrop",
  cgroup_parent: "CgroupParent",
  cgroupns: "CgroupnsMode",
  cpu_count: "CpuCount",
  cpu_percent: "CpuPercent",
  cpu_period: "CpuPeriod",
  cpu_quota: "CpuQuota",
  cpu_rt_period: "CpuRealtimePeriod",
  cpu_rt_runtime: "CpuRealtimeRuntime",
  cpu_shares: "CpuShares",
  cpuset_cpus: "CpusetCpus",
  cpuset_mems: "CpusetMems",
  device_cgroup_rules: "DeviceCgroupRules",
  device_read_bps: "BlkioDeviceReadBps",
  device_read_iops: "BlkioDeviceReadIOps",
  device_requests: "DeviceRequests",
  device_write_bps: "BlkioDeviceWriteBps",
  device_write_iops: "BlkioDeviceWriteIOps",
  dns: "Dns",
  dns_opt: "DnsOptions",
  dns_search: "DnsSearch",
  init: "Init",
  ipc_mode: "IpcMode",
  isolation: "Isolation",
  mem_swappiness: "MemorySwappiness",
  mounts: "Mounts",
  nano_cpus: "NanoCpus",
  oom_kill_disable: "OomKillDisable",
  oom_score_adj: "OomScoreAdj",
  pid_mode: "PidMode",
  pids_limit: "PidsLimit",
  publish_all_ports: "PublishAllPorts",
  read_only: "ReadonlyRootfs",
  restart_policy: "RestartPolicy",
  runtime: "Runtime",
  storage_opt: "StorageOpt",
  sysctls: "Sysctls",
  userns_mode: "UsernsMode",
  uts_mode: "UTSMode",
  volume_driver: "VolumeDriver",
  volumes_from: "VolumesFrom",
};
/** How docker-py itself talks to the engine, or how `run` behaves: nothing that a container has. */
const WITHOUT_EFFECT = new Set(["detach", "remove", "stderr", "stdout", "stream", "use_config_proxy", "version"]);

const Texts = z.array(z.union([z.string(), z.number()]).transform(String));
const TextOrTexts = z.union([z.string().transform((text) => [text]), Texts]);
const Device = z.string().transform((text) => {
  const [host = "", inside = host, permissions = "rwm"] = text.split(":");
  return { PathOnHost: host, PathInContainer: inside, CgroupPermissions: permissions };
});
const Ulimit = z
  .looseObject({})
  .transform((entry) => Object.fromEntries(Object.entries(entry).map(([key, value]) => [capitalize(key), value])));
const LogConfig = z
  .looseObject({})
  .transform((entry) => ({ Type: entry["type"] ?? entry["Type"], Config: entry["config"] ?? entry["Config"] ?? {} }));
const Tmpfs = z.union([
  z.record(z.string(), z.string()),
  z
    .array(z.string())
    .transform((paths) =>
      Object.fromEntries(
        paths.map((path) => path.split(/:(.*)/s).slice(0, 2)).map(([path = "", mode = ""]) => [path, mode]),
      ),
    ),
]);
const Links = z.union([
  z
    .record(z.string(), z.string())
    .transform((links) => Object.entries(links).map(([name, alias]) => `${name}:${alias}`)),
  z.array(z.string()),
]);
const HostPort = z.union([
  z.null().transform(() => [{ HostPort: "" }]),
  z.number().transform((port) => [{ HostPort: String(port) }]),
  z.string().transform((port) => [{ HostPort: port }]),
  z.tuple([z.string(), z.number()]).transform(([ip, port]) => [{ HostIp: ip, HostPort: String(port) }]),
  z.array(z.number()).transform((ports) => ports.map((port) => ({ HostPort: String(port) }))),
]);
const Ports = z.record(z.string(), HostPort);

/** Keys whose value docker-py changes on the way. */
const CONVERTED: Record<string, (value: unknown) => EngineKeys> = {
  devices: (value) => host({ Devices: z.array(Device).parse(value) }),
  entrypoint: (value) => config({ Entrypoint: z.union([z.string().transform(split), Texts]).parse(value) }),
  group_add: (value) => host({ GroupAdd: Texts.parse(value) }),
  kernel_memory: (value) => host({ KernelMemory: parseBytes(value) }),
  links: (value) => host({ Links: Links.parse(value) }),
  log_config: (value) => host({ LogConfig: LogConfig.parse(value) }),
  mem_reservation: (value) => host({ MemoryReservation: parseBytes(value) }),
  ports: convertPorts,
  security_opt: (value) => host({ SecurityOpt: TextOrTexts.parse(value) }),
  shm_size: (value) => host({ ShmSize: parseBytes(value) }),
  tmpfs: (value) => host({ Tmpfs: Tmpfs.parse(value) }),
  ulimits: (value) => host({ Ulimits: z.array(Ulimit).parse(value) }),
  user: (value) => config({ User: z.union([z.string(), z.number()]).transform(String).parse(value) }),
};

function config(keys: JsonObject): EngineKeys {
  return { config: keys, hostConfig: {} };
}

function host(keys: JsonObject): EngineKeys {
  return { config: {}, hostConfig: keys };
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function convertPorts(value: unknown): EngineKeys {
  const ports = Object.entries(Ports.parse(value)).map(
    ([port, bindings]) => [port.includes("/") ? port : `${port}/tcp`, bindings] as const,
  );
  return {
    config: { ExposedPorts: Object.fromEntries(ports.map(([port]) => [port, {}])) },
    hostConfig: { PortBindings: Object.fromEntries(ports) },
  };
}

/** Throws JOB_INVALID for a key that docker-py does not know either, or a value of the wrong form. */
export function convertCreateKwargs(kwargs: JsonObject): EngineKeys {
  const keys: EngineKeys = { config: {}, hostConfig: {} };
  for (const [name, value] of Object.entries(kwargs)) {
    const converted = convertKey(name, value);
    Object.assign(keys.config, converted.config);
    Object.assign(keys.hostConfig, converted.hostConfig);
  }
  return keys;
}

function convertKey(name: string, value: unknown): EngineKeys {
  const convert = CONVERTED[name];
  if (WITHOUT_EFFECT.has(name) || value === null) {
    return { config: {}, hostConfig: {} };
  }
  if (CONFIG_KEYS[name] !== undefined) {
    return config({ [CONFIG_KEYS[name]]: value });
  }
  if (HOST_CONFIG_KEYS[name] !== undefined) {
    return host({ [HOST_CONFIG_KEYS[name]]: value });
  }
  if (convert === undefined) {
    throw new UserError("JOB_INVALID", `"container_create_kwargs.${name}" is no argument of a container.`, {
      hint: "The arguments are those of docker-py's containers.create; environment and command have job variables of their own.",
    });
  }
  try {
    return convert(value);
  } catch (cause) {
    throw new UserError(
      "JOB_INVALID",
      `"container_create_kwargs.${name}" is ${JSON.stringify(value)}, which docker-py does not take there.`,
      {
        hint: "See the arguments of containers.run in docker-py's documentation.",
        cause,
      },
    );
  }
}

const UNITS: Record<string, number> = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** `512m`, `1.5g`, `100kb`, `1048576`, `-1`, as docker-py reads sizes. Throws JOB_INVALID. */
export function parseBytes(value: unknown): number {
  const match = /^\s*(-?\d+(?:\.\d+)?)\s*([bkmgt]?)b?\s*$/i.exec(String(value));
  const factor = UNITS[(match?.[2] || "b").toLowerCase()];
  if (match === null || factor === undefined) {
    throw new UserError("JOB_INVALID", `${JSON.stringify(value)} is no size of memory.`, {
      hint: "Write a number with b, k, m, g or t, such as 512m.",
    });
  }
  return Math.trunc(Number(match[1]) * factor);
}
