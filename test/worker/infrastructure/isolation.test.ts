import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "../../../src/prefect-api/primitives.ts";
import { buildContainerSpec } from "../../../worker/infrastructure/docker-spec.ts";
import { type Allowed, AllowList } from "../../../worker/infrastructure/isolation.ts";
import { exampleJob } from "../jobs/job-examples.ts";

function build(jobVariables: JsonObject, { worker, pool }: { worker?: string; pool?: string } = {}) {
  const allow: Allowed = worker === undefined ? undefined : AllowList.parse(worker);
  const job = exampleJob(jobVariables, pool === undefined ? {} : { own: { allow: pool } });
  const host = { platform: "linux" as const, engineVersion: "28.0.0", engineUrl: "unix:///srv/docker.sock" };
  return buildContainerSpec(job, { ...host, workingDirectory: "/srv/worker", allow }).options.HostConfig;
}

const kwargs = (container_create_kwargs: JsonObject) => ({ container_create_kwargs });
const bind = (Source: string) => kwargs({ mounts: [{ Type: "bind", Source, Target: "/x" }] });

describe("the Docker engine's socket is never given to a run, whatever is allowed", () => {
  for (const source of [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/srv/docker.sock",
    "/srv",
    "/",
    "/var/run",
    "/x/../srv",
  ]) {
    test(source, () => {
      assert.throws(() => build({ volumes: [`${source}:/x:ro`] }, { worker: "*" }), {
        code: "JOB_INVALID",
        message: /socket/,
      });
      assert.throws(() => build(bind(source)), { code: "JOB_INVALID", message: /socket/ });
    });
  }
});

describe("what reaches beyond the container needs a word of the operator", () => {
  const cases: [string, JsonObject, string][] = [
    ["privileged", { privileged: true }, "privileged"],
    ["a capability", kwargs({ cap_add: ["SYS_ADMIN"] }), "privileged"],
    ["a device", kwargs({ devices: ["/dev/kvm"] }), "privileged"],
    ["an unconfined profile", kwargs({ security_opt: ["seccomp=unconfined"] }), "privileged"],
    ["privileges that may be gained", kwargs({ security_opt: ["no-new-privileges:false"] }), "privileged"],
    ["the host's processes", kwargs({ pid_mode: "host" }), "privileged"],
    ["another container's memory", kwargs({ ipc_mode: "container:x" }), "privileged"],
    [
      "a volume that is a folder after all",
      kwargs({ mounts: [{ Type: "volume", Target: "/x", VolumeOptions: { DriverConfig: {} } }] }),
      "privileged",
    ],
    ["the host's network", { network_mode: "host" }, "host-network"],
    ["the host's network as a named one", { networks: ["host"] }, "host-network"],
    ["another container's network", { network_mode: "container:x" }, "host-network"],
    ["a folder", { volumes: ["/data/in:/x"] }, "bind:/data"],
    ["a folder as a mount", bind("/data"), "bind:/data"],
    ["a folder of the worker", { volumes: ["./in:/x"] }, "bind:/srv/worker"],
  ];
  for (const [name, jobVariables, word] of cases) {
    test(name, () => {
      const refused = { code: "JOB_INVALID", message: /^Not allowed here: / };

      assert.throws(() => build(jobVariables, { worker: "none" }), refused);
      assert.throws(() => build(jobVariables, { worker: word, pool: "none" }), refused);
      assert.throws(() => build(jobVariables, { worker: "none", pool: "*" }), refused);
      assert.doesNotThrow(() => build(jobVariables, { worker: word }));
      assert.doesNotThrow(() => build(jobVariables, { pool: word }));
      assert.doesNotThrow(() => build(jobVariables));
    });
  }

  test("a folder beside an allowed one, or reached through it, is another folder", () => {
    for (const source of ["/database", "/data/../etc"]) {
      assert.throws(() => build({ volumes: [`${source}:/x`] }, { worker: "bind:/data" }), { code: "JOB_INVALID" });
    }
  });

  test("named volumes, and the network that the worker chooses itself, need none", () => {
    assert.doesNotThrow(() => build({ volumes: ["cache:/x", "/y"] }, { worker: "none" }));
    const local = exampleJob({}, { settings: { PREFECT_API_URL: "http://127.0.0.1:4200/api" } });
    const host = {
      platform: "linux" as const,
      engineVersion: "28.0.0",
      engineUrl: "",
      workingDirectory: "/",
      allow: [],
    };
    assert.equal(buildContainerSpec(local, host).options.HostConfig?.NetworkMode, "host");
  });

  test("a deployment does not reach the pool's word", () => {
    assert.throws(() => build({ privileged: true, allow: "*" }, { pool: "none" }), { code: "JOB_INVALID" });
  });
});

test("a run can gain no privileges and not fork without end, unless its job says so", () => {
  assert.deepEqual(build({})?.SecurityOpt, ["no-new-privileges"]);
  assert.equal(build({})?.PidsLimit, 4096);
  const own = build(kwargs({ security_opt: ["no-new-privileges:false", "label=x"], pids_limit: 10 }));
  assert.deepEqual(own?.SecurityOpt, ["no-new-privileges:false", "label=x"]);
  assert.equal(own?.PidsLimit, 10);
});
