import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { deploy } from "../../src/release/deploy.ts";
import type { DeployRequest, DeployResult } from "../../src/release/request.ts";
import { UserError } from "../../src/shared/errors.ts";
import { openRecordedPlane, type RecordedPlane } from "./recorded-plane.ts";

const FLOW = `from prefect import flow


@flow
def hello(name: str = "world", times: int = 1):
    """Say hello."""
`;

interface Project extends AsyncDisposable {
  root: string;
  plane: RecordedPlane;
  said: string[];
  write(file: string, text: string): Promise<void>;
  deploy(change?: Partial<DeployRequest>): Promise<DeployResult>;
}

async function openProject(prefectYaml: string | undefined): Promise<Project> {
  const root = await mkdtemp(path.join(tmpdir(), "flowyard-deploy-"));
  const plane = await openRecordedPlane({ work_pools: { pool: "process", docker: "docker" } });
  const write = (file: string, text: string) => writeFile(path.join(root, file), text);
  await write("flow.py", FLOW);
  if (prefectYaml !== undefined) {
    await write("prefect.yaml", prefectYaml);
  }
  const said: string[] = [];
  const say = (text: string) => {
    said.push(text);
  };
  return {
    root,
    plane,
    said,
    write,
    deploy: (change = {}) =>
      deploy({
        root,
        projectFile: "prefect.yaml",
        selection: { names: [], all: true },
        flags: {},
        env: { PATH: "/usr/local/bin:/usr/bin:/bin", GIT_CONFIG_GLOBAL: "/dev/null" },
        client: plane.client,
        output: { progress: say, warn: say, write: say },
        signal: new AbortController().signal,
        ...change,
      }),
    async [Symbol.asyncDispose]() {
      await plane[Symbol.asyncDispose]();
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function catchUserError(promise: Promise<unknown>): Promise<UserError> {
  const thrown: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof UserError, String(thrown));
  return thrown;
}

const TWO = `deployments:
- name: one
  entrypoint: flow.py:hello
  work_pool: {name: pool}
- name: two
  entrypoint: flow.py:hello
  work_pool: {name: pool}
`;

describe("a deploy registers all or nothing", () => {
  it("tells every problem of every selected deployment at its line, and registers none", async () => {
    await using project = await openProject(`deployments:
- name: good
  entrypoint: flow.py:hello
  work_pool: {name: pool}
- name: lost
  entrypoint: nowhere.py:hello
  work_pool: {name: pol}
- entrypoint: flow.py:goodbye
  name: wrong
  work_pool: {name: pool}
  build:
  - prefect_aws.deployments.steps.push_to_s3: {bucket: b}
`);

    const error = await catchUserError(project.deploy());

    assert.match(error.message, /because of 4 problems/);
    assert.match(error.message, /prefect\.yaml:6:15: deployment "lost": .*nowhere\.py/);
    assert.match(
      error.message,
      /prefect\.yaml:7:21: deployment "lost": the work pool "pol" does not exist\. Did you mean "pool"\?/,
    );
    assert.match(error.message, /prefect\.yaml:8:15: deployment "wrong": .*"goodbye"/);
    assert.match(
      error.message,
      /prefect\.yaml:12:5: deployment "wrong": the step prefect_aws\.deployments\.steps\.push_to_s3/,
    );
    assert.deepEqual(project.plane.requests, []);
  });

  it("tells what is wrong with the other deployments beside what the file alone shows", async () => {
    await using project = await openProject(`deployments:
- name: late
  entrypoint: flow.py:hello
  work_pool: {name: pool}
  schedules:
  - cron: 99 * * * *
- name: lost
  entrypoint: nowhere.py:hello
  work_pool: {name: pol}
`);

    const error = await catchUserError(project.deploy());

    assert.match(error.message, /^Invalid fields in deployments: "late"/);
    assert.match(error.message, /prefect\.yaml:6:11: deployment "late": .*minute "99" is out of range/);
    assert.match(error.message, /prefect\.yaml:8:15: deployment "lost": .*nowhere\.py/);
    assert.match(error.message, /prefect\.yaml:9:21: deployment "lost": the work pool "pol" does not exist/);
    assert.deepEqual(project.plane.requests, []);
  });

  it("runs no step for a deployment whose values do not fit", async () => {
    await using project = await openProject(`build:
- prefect.deployments.steps.run_shell_script: {script: touch built}
deployments:
- name: one
  entrypoint: flow.py:hello
  parameters: {times: many}
  triggers: [{type: metric}]
  work_pool: {name: pool, job_variables: {env: text}}
`);

    const error = await catchUserError(project.deploy());

    assert.match(error.message, /because of 3 problems/);
    assert.ok(!project.said.some((text) => text.includes("Running")), project.said.join("\n"));
  });

  it("registers nothing when the build of the last deployment fails", async () => {
    await using project = await openProject(`${TWO}  build:
  - prefect.deployments.steps.run_shell_script: {script: "sh -c 'exit 9'"}
`);

    const error = await catchUserError(project.deploy());

    assert.equal(error.code, "STEP_FAILED");
    assert.match(error.message, /^prefect\.yaml:9:5: The step run_shell_script failed: .*exit code 9/);
    assert.deepEqual(project.plane.requests, []);
  });

  it("finds parameters that do not fit once the build has filled them, before anything is registered", async () => {
    await using project = await openProject(`build:
- prefect.deployments.steps.run_shell_script: {id: count, script: echo many, stream_output: false}
${TWO}  parameters: {times: "{{ count.stdout }}"}
`);

    const error = await catchUserError(project.deploy());

    assert.match(error.message, /prefect\.yaml:10:23: deployment "two": .*'times'.*'many' is not of type 'integer'/);
    assert.deepEqual(project.plane.requests, []);
  });

  it("says what is registered already when the server refuses a later deployment", async () => {
    await using project = await openProject(TWO);
    await project.deploy({ selection: { names: ["two"], all: false } });
    const two = await project.plane.client.deployments.findByName("hello", "two");
    project.plane.refusePath(`/deployments/${two?.id}`);

    const error = await catchUserError(project.deploy());

    assert.match(error.message, /Refused by the test/);
    assert.ok(project.said.includes("Already registered before the failure: hello/one."), project.said.join("\n"));
  });
});

describe("a deploy of a part of the file", () => {
  it("is not stopped by an invalid entry that is not selected, but tells it", async () => {
    await using project = await openProject(`${TWO}- name: broken
  paused: perhaps
`);

    const { deployments } = await project.deploy({ selection: { names: ["one"], all: false } });

    assert.deepEqual(
      deployments.map(({ name, created }) => ({ name, created })),
      [{ name: "one", created: true }],
    );
    assert.ok(
      project.said.some((text) => /prefect\.yaml:9:11: warning: deployment "broken": paused is "perhaps"/.test(text)),
    );
  });

  it("refuses an invalid entry that is selected by its name", async () => {
    await using project = await openProject(`${TWO}- name: broken
  paused: perhaps
`);

    const error = await catchUserError(project.deploy({ selection: { names: ["broken"], all: false } }));

    assert.match(error.message, /Invalid fields in deployments: "broken"/);
  });

  it("suggests the name that was meant", async () => {
    await using project = await openProject(TWO);

    const error = await catchUserError(project.deploy({ selection: { names: ["tow"], all: false } }));

    assert.equal(error.code, "DEPLOYMENT_NOT_SELECTED");
    assert.match(error.message, /: tow\. Did you mean "two"\?/);
    assert.match(error.hint ?? "", /"one", "two"/);
  });

  it("makes a new deployment of flags beside those of the file", async () => {
    await using project = await openProject(TWO);

    const { deployments } = await project.deploy({
      selection: { names: ["three"], all: false },
      flags: { entrypoint: "flow.py:hello", workPool: "pool" },
    });

    assert.equal(deployments[0]?.name, "three");
  });
});

describe("a deploy without a project file", () => {
  it("says that there is none and what to do", async () => {
    await using project = await openProject(undefined);

    const error = await catchUserError(project.deploy());

    assert.equal(error.code, "PROJECT_FILE_MISSING");
    assert.match(`${error.message} ${error.hint}`, /no such file.*path\/to\/file\.py:function/s);
  });

  it("works with flags alone and answers what can be saved", async () => {
    await using project = await openProject(undefined);

    const { deployments } = await project.deploy({
      selection: { names: ["mine"], all: false },
      flags: { entrypoint: "flow.py:hello", workPool: "pool", cron: ["0 5 * * *"] },
    });

    assert.deepEqual(deployments[0]?.save.entry, {
      name: "mine",
      entrypoint: "flow.py:hello",
      schedules: [{ cron: "0 5 * * *" }],
      work_pool: { name: "pool" },
    });
  });
});

describe("a second deploy", () => {
  const WITH_SCHEDULE = `deployments:
- name: s
  entrypoint: flow.py:hello
  work_pool: {name: pool}
  schedules:
  - {cron: "0 5 * * *", slug: early}
`;
  const EMPTY = WITH_SCHEDULE.replace(/ {2}schedules:[\s\S]*/, "  schedules: []\n");

  async function listSlugs(project: Project): Promise<unknown[]> {
    const deployment = await project.plane.client.deployments.findByName("hello", "s");
    return (deployment?.schedules ?? []).map((schedule) => schedule.slug);
  }

  it("keeps schedules that the file no longer has, and says so for an empty list", async () => {
    await using project = await openProject(WITH_SCHEDULE);
    await project.deploy();
    await project.write("prefect.yaml", EMPTY);

    const { deployments } = await project.deploy();

    assert.equal(deployments[0]?.created, false);
    assert.deepEqual(await listSlugs(project), ["early"]);
    assert.ok(project.said.some((text) => text.includes("the 1 schedule(s) on the server are kept")));
  });

  it("removes them when the environment asks for it", async () => {
    await using project = await openProject(WITH_SCHEDULE);
    await project.deploy();
    await project.write("prefect.yaml", EMPTY);

    await project.deploy({
      env: { PATH: "/usr/bin:/bin", PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY: "true" },
    });

    assert.deepEqual(await listSlugs(project), []);
  });
});

describe("job variables", () => {
  it("are told when the pool's type does not know them", async () => {
    await using project = await openProject(`deployments:
- name: one
  entrypoint: flow.py:hello
  work_pool: {name: docker, job_variables: {imgae: app}}
`);

    await project.deploy();

    const expected =
      'The work pool "docker" is of type docker and does not use the job variable "imgae". Did you mean "image"?';
    assert.ok(project.said.includes(expected), project.said.join("\n"));
  });
});
