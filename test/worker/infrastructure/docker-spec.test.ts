import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "../../../src/prefect-api/primitives.ts";
import { parseBytes } from "../../../worker/infrastructure/docker-create-kwargs.ts";
import {
  buildContainerSpec,
  decidePullPolicy,
  parseVolume,
  slugifyContainerName,
  type WorkerHost,
} from "../../../worker/infrastructure/docker-spec.ts";
import { buildMarkedFormats } from "../../../worker/logs/output-lines.ts";
import { factsFromLabels, factsToLabels } from "../../../worker/runs/run-facts.ts";
import { exampleJob } from "../jobs/job-examples.ts";

const linux: WorkerHost = {
  platform: "linux",
  engineVersion: "20.10.24+dfsg1",
  engineUrl: "unix:///var/run/docker.sock",
  workingDirectory: "/srv/worker",
  allow: undefined,
};
const mac: WorkerHost = { ...linux, platform: "darwin" };
const LOCAL = { PREFECT_API_URL: "http://127.0.0.1:4200/api" };
const REMOTE = { PREFECT_API_URL: "https://plane.example/api" };

function specOf(jobVariables: JsonObject, settings: Record<string, string> = REMOTE, host = linux) {
  return buildContainerSpec(exampleJob(jobVariables, { settings }), host);
}

function envOf(jobVariables: JsonObject, settings: Record<string, string> = REMOTE, host = linux) {
  const entries = specOf(jobVariables, settings, host).options.Env ?? [];
  return Object.fromEntries(entries.map((entry) => entry.split(/=(.*)/s).slice(0, 2)));
}

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof Error && "code" in error ? `${error.code}: ${error.message}` : String(error);
  }
  return "not refused";
}

test("a job without job variables is Prefect's image and command, kept after its end", () => {
  const { name, image, pullPolicy, options, watch } = specOf({});

  assert.equal(name, "curious-otter");
  assert.equal(image, "prefecthq/prefect:3.9.1-python3.11");
  assert.equal(pullPolicy, "IfNotPresent");
  assert.deepEqual(options.Cmd?.slice(0, 2), ["sh", "-c"]);
  assert.equal(options.Entrypoint, undefined);
  assert.deepEqual(options.HostConfig, {
    Binds: [],
    Privileged: false,
    AutoRemove: false,
    SecurityOpt: ["no-new-privileges"],
    PidsLimit: 4096,
  });
  assert.equal(watch.stream_output, true);
  assert.equal(watch.wait_timeout_seconds, undefined);
});

describe("pull policy that nobody set", () => {
  const cases: [string, string][] = [
    ["etl", "Always"],
    ["etl:latest", "Always"],
    ["localhost:5000/etl", "Always"],
    ["etl:1", "IfNotPresent"],
    ["localhost:5000/team/etl:1", "IfNotPresent"],
    ["etl@sha256:0123", "IfNotPresent"],
    ["etl:latest@sha256:0123", "IfNotPresent"],
  ];
  for (const [image, policy] of cases) {
    test(`${image} is pulled ${policy}`, () => assert.equal(decidePullPolicy(image), policy));
  }
});

test("a pull policy that was set wins, and a word that is none is refused with what is allowed", () => {
  assert.equal(specOf({ image: "etl", image_pull_policy: "Never" }).pullPolicy, "Never");
  assert.match(
    refusal(() => specOf({ image_pull_policy: "Sometimes" })),
    /^JOB_INVALID: .*"image_pull_policy" is "Sometimes": .*"IfNotPresent"\|"Always"\|"IfPossible"\|"Never"/,
  );
});

describe("network", () => {
  type Case = [string, JsonObject, Record<string, string>, WorkerHost, string | undefined];
  const cases: Case[] = [
    ["a plane elsewhere leaves the engine's default", {}, REMOTE, linux, undefined],
    ["a plane on this Linux host means the host's network", {}, LOCAL, linux, "host"],
    ["a plane at localhost likewise", {}, { PREFECT_API_URL: "http://localhost:4200/api" }, linux, "host"],
    ["a plane on a Mac cannot be reached that way", {}, LOCAL, mac, undefined],
    ["a mode that was set wins", { network_mode: "bridge" }, LOCAL, linux, "bridge"],
    ["a network that was named wins", { networks: ["backend"] }, LOCAL, linux, "backend"],
    ["a user's API URL decides, not the worker's", { env: REMOTE }, LOCAL, linux, undefined],
  ];
  for (const [title, jobVariables, settings, host, mode] of cases) {
    test(title, () => assert.equal(specOf(jobVariables, settings, host).options.HostConfig?.NetworkMode, mode));
  }

  test("the first network is joined at the start, the others before it", () => {
    const { options, furtherNetworks } = specOf({ networks: ["a", "b", "c"] });

    assert.deepEqual(options.NetworkingConfig, { EndpointsConfig: { a: {} } });
    assert.deepEqual(furtherNetworks, ["b", "c"]);
  });

  test("a mode beside named networks is ignored with a note", () => {
    const { options, notes } = specOf({ network_mode: "host", networks: ["a"] });

    assert.equal(options.HostConfig?.NetworkMode, "a");
    assert.match(notes.join(), /network_mode host is ignored/);
  });
});

describe("the API's address inside the container", () => {
  type Case = [string, JsonObject, Record<string, string>, WorkerHost, string];
  const viaGateway = "http://host.docker.internal:4200/api";
  const cases: Case[] = [
    ["stays local on the host's network", {}, LOCAL, linux, LOCAL.PREFECT_API_URL],
    ["goes through the gateway on any other", { network_mode: "bridge" }, LOCAL, linux, viaGateway],
    ["goes through the gateway on a named network", { networks: ["backend"] }, LOCAL, linux, viaGateway],
    ["goes through the gateway on a Mac", {}, LOCAL, mac, viaGateway],
    ["is left alone when it is elsewhere", { network_mode: "bridge" }, REMOTE, linux, REMOTE.PREFECT_API_URL],
    [
      "is left alone when the user set it",
      { network_mode: "bridge", env: LOCAL },
      REMOTE,
      linux,
      LOCAL.PREFECT_API_URL,
    ],
  ];
  for (const [title, jobVariables, settings, host, url] of cases) {
    test(title, () => assert.equal(envOf(jobVariables, settings, host)["PREFECT_API_URL"], url));
  }
});

describe("host.docker.internal", () => {
  const gateway = ["host.docker.internal:host-gateway"];
  const given = { container_create_kwargs: { extra_hosts: { db: "10.0.0.5" } } };
  type Case = [string, JsonObject, Record<string, string>, WorkerHost, string[] | undefined];
  const cases: Case[] = [
    ["is told for a local plane on Linux", { network_mode: "bridge" }, LOCAL, linux, gateway],
    ["is told when no API URL is known", {}, {}, linux, gateway],
    ["is not told for a plane elsewhere", {}, REMOTE, linux, undefined],
    ["is not told on a Mac, whose engine knows it", { network_mode: "bridge" }, LOCAL, mac, undefined],
    ["is not told to engines before 20.10", {}, LOCAL, { ...linux, engineVersion: "19.3.15" }, undefined],
    ["joins the hosts that were given", given, LOCAL, linux, [...gateway, "db:10.0.0.5"]],
    ["leaves the given hosts alone otherwise", given, REMOTE, linux, ["db:10.0.0.5"]],
    [
      "takes them as a list too",
      { container_create_kwargs: { extra_hosts: ["db:10.0.0.5"] } },
      REMOTE,
      linux,
      ["db:10.0.0.5"],
    ],
  ];
  for (const [title, jobVariables, settings, host, hosts] of cases) {
    test(title, () => assert.deepEqual(specOf(jobVariables, settings, host).options.HostConfig?.ExtraHosts, hosts));
  }
});

describe("environment", () => {
  test("the user's variables win over the run's, and the run's over the worker's settings", () => {
    const env = envOf(
      { env: { PREFECT__FLOW_NAME: "mine", PREFECT_LOGGING_LEVEL: "DEBUG" } },
      { ...REMOTE, PREFECT_LOGGING_LEVEL: "INFO", PREFECT__FLOW_RUN_ID: "theirs" },
    );

    assert.deepEqual(env, {
      ...buildMarkedFormats({}),
      PREFECT_API_URL: REMOTE.PREFECT_API_URL,
      PREFECT_LOGGING_LEVEL: "DEBUG",
      PREFECT__FLOW_RUN_ID: "11111111-1111-4111-8111-111111111111",
      PREFECT__WORKER_NAME: "w1",
      PREFECT__FLOW_ID: "22222222-2222-4222-8222-222222222222",
      PREFECT__FLOW_NAME: "mine",
      PREFECT__DEPLOYMENT_ID: "33333333-3333-4333-8333-333333333333",
      PREFECT__DEPLOYMENT_NAME: "nightly",
    });
  });

  test("null takes a variable away, and values that are no text are written as Python writes them", () => {
    const env = envOf(
      { env: { PREFECT_LOGGING_LEVEL: null, COUNT: 3, DEBUG: true } },
      { PREFECT_LOGGING_LEVEL: "INFO" },
    );

    assert.equal("PREFECT_LOGGING_LEVEL" in env, false);
    assert.equal(env["COUNT"], "3");
    assert.equal(env["DEBUG"], "True");
  });
});

test("labels are written as Docker writes them, and the user's win", () => {
  const { Labels } = specOf({
    labels: { "prefect.io/flow-name": "mine", "com.example/team": "data", plain: "x" },
  }).options;

  assert.deepEqual(Labels, {
    "io.prefect.flow-run-id": "11111111-1111-4111-8111-111111111111",
    "io.prefect.flow-run-name": "curious-otter",
    "io.prefect.work-pool-name": "my-pool",
    "io.prefect.work-pool-id": "44444444-4444-4444-8444-444444444444",
    "io.prefect.worker-name": "w1",
    "io.prefect.flow-id": "22222222-2222-4222-8222-222222222222",
    "io.prefect.flow-name": "mine",
    "io.prefect.deployment-id": "33333333-3333-4333-8333-333333333333",
    "io.prefect.deployment-name": "nightly",
    "io.prefect.deployment-updated": "2026-11-24T08:00:01.250000+00:00",
    "io.prefect.version": "3.9.1",
    "example.com.team": "data",
    plain: "x",
    ...factsToLabels(exampleJob({}).facts),
    "io.flowyard.watch": '{"stream_output":true,"auto_remove":false}',
  });
});

test("the labels by which a container is adopted are not the user's to change", () => {
  const { Labels = {} } = specOf({ labels: { "io.flowyard.attempt": "mine", "io.flowyard.watch": "{}" } }).options;

  assert.deepEqual(factsFromLabels(Labels), exampleJob({}).facts);
  assert.notEqual(Labels["io.flowyard.watch"], "{}");
  assert.equal(factsFromLabels({ "io.prefect.flow-run-id": "x" }), undefined);
});

describe("command", () => {
  test("is split as a shell would", () => {
    const { Cmd } = specOf({ command: `bash -c "echo 'a b' && exit 3"  --flag=x\\ y` }).options;

    assert.deepEqual(Cmd, ["bash", "-c", "echo 'a b' && exit 3", "--flag=x y"]);
  });

  test("with an open quote is refused", () => {
    assert.match(
      refusal(() => specOf({ command: 'bash -c "echo' })),
      /^JOB_INVALID: The command .* cannot be split/,
    );
  });
});

describe("container name", () => {
  const cases: [string, string | undefined][] = [
    ["curious-otter", "curious-otter"],
    ["My run: 2026/11", "My-run-2026-11"],
    ["__.-lead", "lead"],
    ["Überweisung täglich", "Uberweisung-taglich"],
    ["a___b..c", "a___b..c"],
    ["1,000 rows", "1000-rows"],
    ["  --  ", undefined],
    ["日本", undefined],
    ["x".repeat(300), "x".repeat(250)],
  ];
  for (const [name, slug] of cases) {
    test(`of ${JSON.stringify(name.slice(0, 20))} is ${slug?.slice(0, 20)}`, () => {
      assert.equal(slugifyContainerName(name), slug);
    });
  }

  test("may name the flow and the run", () => {
    assert.equal(specOf({ name: "{{ ctx.flow.name }}-{{ ctx.flow_run.name }}" }).name, "etl-curious-otter");
  });
});

describe("volumes", () => {
  const cases: [string, { path: string; bind: string | undefined }][] = [
    ["/data:/in", { path: "/in", bind: "/data:/in" }],
    ["/data:/in:ro", { path: "/in", bind: "/data:/in:ro" }],
    [".:/in", { path: "/in", bind: "/srv/worker:/in" }],
    ["./data:/in:rw", { path: "/in", bind: "/srv/worker/data:/in:rw" }],
    ["../data:/in", { path: "/in", bind: "/srv/data:/in" }],
    ["cache-1:/in", { path: "/in", bind: "cache-1:/in" }],
    ["/scratch", { path: "/scratch", bind: undefined }],
    ["C:\\data:/in", { path: "/in", bind: "C:\\data:/in" }],
  ];
  for (const [text, volume] of cases) {
    test(`${text} is mounted`, () => assert.deepEqual(parseVolume(text, "/srv/worker"), volume));
  }

  const refused: [string, RegExp][] = [
    ["", /no host part/],
    ["data", /no host part/],
    ["/data:in", /must begin with "\/", not be "in"/],
    ["$(pwd):/in", /no name of a volume/],
    ["/data:/in:z", /"z" is neither ro nor rw/],
  ];
  for (const [text, reason] of refused) {
    test(`${JSON.stringify(text)} is refused`, () => {
      const message = refusal(() => parseVolume(text, "/srv/worker"));
      assert.match(message, /^JOB_INVALID/);
      assert.match(message, reason);
    });
  }
});

describe("sizes of memory", () => {
  const cases: [string | number, number][] = [
    ["512m", 536_870_912],
    ["1g", 1_073_741_824],
    ["1.5G", 1_610_612_736],
    ["100kb", 102_400],
    ["100000b", 100_000],
    ["2T", 2_199_023_255_552],
    ["1048576", 1_048_576],
    [1_048_576, 1_048_576],
    ["-1", -1],
  ];
  for (const [text, bytes] of cases) {
    test(`${text} is ${bytes} bytes`, () => assert.equal(parseBytes(text), bytes));
  }
  for (const text of ["", "lots", "5x", "1 2"]) {
    test(`${JSON.stringify(text)} is refused`, () =>
      assert.match(
        refusal(() => parseBytes(text)),
        /^JOB_INVALID/,
      ));
  }

  test("reach the engine", () => {
    const { HostConfig } = specOf({ mem_limit: "512m", memswap_limit: "-1" }).options;

    assert.equal(HostConfig?.Memory, 536_870_912);
    assert.equal(HostConfig?.MemorySwap, -1);
  });
});

test("privileged goes to the engine; auto_remove, stream_output and container_wait_timeout are the worker's own", () => {
  const spec = specOf({ privileged: true, auto_remove: "true", stream_output: false, container_wait_timeout: 90 });

  assert.equal(spec.options.HostConfig?.Privileged, true);
  assert.equal(spec.options.HostConfig?.AutoRemove, false);
  const watch = { stream_output: false, auto_remove: true, wait_timeout_seconds: 90 };
  assert.deepEqual(spec.watch, { ...watch, mem_limit: undefined });
  assert.deepEqual(JSON.parse(spec.options.Labels?.["io.flowyard.watch"] ?? ""), watch);
});

test("registry credentials are those of the block", () => {
  const { credentials } = specOf({
    registry_credentials: { username: "u", password: "p", registry_url: "registry.example", reauth: true },
  });

  assert.deepEqual(credentials, { username: "u", password: "p", serveraddress: "registry.example" });
});

test("a wrong secret is not shown in the refusal", () => {
  const message = refusal(() => specOf({ registry_credentials: { username: "u", password: 12345 } }));

  assert.match(message, /^JOB_INVALID: .*registry_credentials\.password/);
  assert.doesNotMatch(message, /12345/);
});

describe("container_create_kwargs", () => {
  const hostConfig: [string, unknown, JsonObject][] = [
    ["cap_add", ["SYS_PTRACE"], { CapAdd: ["SYS_PTRACE"] }],
    [
      "devices",
      ["/dev/sda:/dev/xvda:r", "/dev/null"],
      {
        Devices: [
          { PathOnHost: "/dev/sda", PathInContainer: "/dev/xvda", CgroupPermissions: "r" },
          { PathOnHost: "/dev/null", PathInContainer: "/dev/null", CgroupPermissions: "rwm" },
        ],
      },
    ],
    ["shm_size", "1g", { ShmSize: 1_073_741_824 }],
    ["tmpfs", { "/run": "size=64m" }, { Tmpfs: { "/run": "size=64m" } }],
    ["tmpfs", ["/run", "/tmp:size=1m"], { Tmpfs: { "/run": "", "/tmp": "size=1m" } }],
    ["ulimits", [{ name: "nofile", soft: 1, hard: 2 }], { Ulimits: [{ Name: "nofile", Soft: 1, Hard: 2 }] }],
    ["security_opt", ["no-new-privileges"], { SecurityOpt: ["no-new-privileges"] }],
    [
      "log_config",
      { type: "json-file", config: { "max-size": "1m" } },
      { LogConfig: { Type: "json-file", Config: { "max-size": "1m" } } },
    ],
    ["read_only", true, { ReadonlyRootfs: true }],
    ["pids_limit", 100, { PidsLimit: 100 }],
    ["nano_cpus", 500_000_000, { NanoCpus: 500_000_000 }],
    ["restart_policy", { Name: "no" }, { RestartPolicy: { Name: "no" } }],
    ["links", { db: "database" }, { Links: ["db:database"] }],
  ];
  for (const [key, value, expected] of hostConfig) {
    test(`${key} becomes ${Object.keys(expected)}`, () => {
      const { HostConfig } = specOf({ container_create_kwargs: { [key]: value } }).options;
      assert.deepEqual(
        Object.fromEntries(Object.entries(HostConfig ?? {}).filter(([name]) => name in expected)),
        expected,
      );
    });
  }

  test("keys of the container itself are beside the image", () => {
    const { options } = specOf({
      container_create_kwargs: {
        hostname: "h",
        user: 1000,
        working_dir: "/w",
        entrypoint: "tini --",
        tty: true,
        detach: true,
      },
    });

    assert.equal(options.Hostname, "h");
    assert.equal(options.User, "1000");
    assert.equal(options.WorkingDir, "/w");
    assert.deepEqual(options.Entrypoint, ["tini", "--"]);
    assert.equal(options.Tty, true);
  });

  test("ports are exposed and bound", () => {
    const { options } = specOf({
      container_create_kwargs: { ports: { "80/tcp": 8080, "53/udp": ["127.0.0.1", 53], "90": null } },
    });

    assert.deepEqual(options.ExposedPorts, { "80/tcp": {}, "53/udp": {}, "90/tcp": {} });
    assert.deepEqual(options.HostConfig?.PortBindings, {
      "80/tcp": [{ HostPort: "8080" }],
      "53/udp": [{ HostIp: "127.0.0.1", HostPort: "53" }],
      "90/tcp": [{ HostPort: "" }],
    });
  });

  test("keys that have a job variable of their own are dropped, volumes with a note", () => {
    const { options, notes } = specOf({
      mem_limit: "1g",
      container_create_kwargs: { mem_limit: "2g", image: "other", volumes: ["/a:/b"], command: "x" },
    });

    assert.equal(options.HostConfig?.Memory, 1_073_741_824);
    assert.equal(options.Image, "prefecthq/prefect:3.9.1-python3.11");
    assert.deepEqual(options.HostConfig?.Binds, []);
    assert.match(notes.join(), /container_create_kwargs\.volumes is ignored/);
  });

  test("a key that docker-py does not know is refused by name", () => {
    assert.match(
      refusal(() => specOf({ container_create_kwargs: { memory: 1 } })),
      /^JOB_INVALID: "container_create_kwargs\.memory"/,
    );
  });
});
