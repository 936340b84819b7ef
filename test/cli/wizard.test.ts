import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { flowyard, plainEnvironment } from "../support/plane-process.ts";
import { Terminal } from "./terminal.ts";
import { startTestPlane, type TestPlane } from "./test-plane.ts";

const run = promisify(execFile);
const machine = await loadMachine();
const withoutDocker = machine.docker.available ? false : machine.docker.reason;
const SOURCE = `from prefect import flow

@flow(log_prints=True)
def get_repo_info(repo: str = "PrefectHQ/prefect"):
    print(repo)

@flow
def other():
    pass
`;
const ENTER = "";
const DOWN = "\u001b[B";
const BACKSPACE = "\u007f";
const CTRL_C = "\u0003";

let plane: TestPlane;
let project = "";
let terminal: Terminal;

describe("questions on a terminal", () => {
  before(async () => {
    plane = await startTestPlane();
  });

  after(() => plane[Symbol.asyncDispose]());

  beforeEach(async () => {
    project = join(plane.folder, `project-${Date.now()}`);
    await mkdir(project);
    await writeFile(join(project, "repo_info.py"), SOURCE);
  });

  afterEach(async () => {
    await terminal.close();
    for (const pool of await plane.client.workPools.list()) {
      await plane.client.workPools.delete(pool.name);
    }
  });

  function open(...argv: string[]): Terminal {
    const dockerHost = machine.docker.available ? machine.docker.host : "";
    terminal = new Terminal([flowyard, ...argv].join(" "), {
      cwd: project,
      env: plainEnvironment(plane.folder, { PREFECT_API_URL: plane.apiUrl, DOCKER_HOST: dockerHost, TERM: "xterm" }),
    });
    return terminal;
  }

  const findDeployment = (name: string) => plane.client.deployments.findByName("get-repo-info", name);

  test("the tutorial's nine questions build an image, register the deployment and save it", {
    skip: withoutDocker,
  }, async () => {
    await plane.client.workPools.create({
      name: "my-docker-pool",
      type: "docker",
      base_job_template:
        (await plane.client.server.listWorkerTypes()).find(({ type }) => type === "docker")
          ?.default_base_job_configuration ?? {},
    });
    await writeFile(join(project, "Dockerfile"), "FROM scratch\nCOPY repo_info.py /\n");
    const wizard = open("deploy");

    await wizard.answer(/Select a flow to deploy/, ENTER);
    await wizard.answer(/Deployment name/, "my-deployment");
    await wizard.answer(/configure a schedule/, "n");
    await wizard.answer(/Which work pool/, ENTER);
    await wizard.answer(/build a custom Docker image/, "y");
    await wizard.answer(/use the Dockerfile in the current directory/, ENTER);
    await wizard.answer(/Repository name/, "flowyard-wizard-test");
    await wizard.answer(/Image name/, ENTER);
    await wizard.answer(/Image tag/, ENTER);
    await wizard.answer(/push this image/, "n");
    await wizard.answer(/save configuration/, "y");

    assert.equal(await wizard.finish(), 0, wizard.text);
    const deployment = await findDeployment("my-deployment");
    const image = "flowyard-wizard-test/my-deployment:latest";
    assert.deepEqual(deployment?.job_variables, { image, image_pull_policy: "Never" });
    await run("docker", ["image", "rm", image]);
    const saved = await readFile(join(project, "prefect.yaml"), "utf8");
    assert.match(saved, /image_name: flowyard-wizard-test\/my-deployment/);
    assert.match(saved, /image: '\{\{ build-image\.image \}\}'/);
    assert.match(saved, /entrypoint: repo_info\.py:get_repo_info/);
  });

  test("a pool without images asks no image questions, and no file is written when nothing is to be saved", async () => {
    await plane.client.workPools.create({ name: "a-pool", type: "process" });
    await plane.client.workPools.create({ name: "b-pool", type: "process" });
    const wizard = open("deploy");

    await wizard.answer(/Select a flow to deploy/, DOWN);
    await wizard.answer(/Deployment name/, ENTER);
    await wizard.answer(/configure a schedule/, "n");
    await wizard.answer(/Which work pool/, DOWN);
    await wizard.answer(/save configuration/, "n");

    assert.equal(await wizard.finish(), 0, wizard.text);
    const deployment = await plane.client.deployments.findByName("other", "default");
    assert.equal(deployment?.work_pool_name, "b-pool");
    await assert.rejects(readFile(join(project, "prefect.yaml")), { code: "ENOENT" });
  });

  test("a schedule is asked for step by step, and a wrong answer is asked again", async () => {
    await plane.client.workPools.create({ name: "a-pool", type: "process" });
    const wizard = open("deploy", "repo_info.py:get_repo_info", "-n", "scheduled", "-p", "a-pool");

    await wizard.answer(/configure a schedule/, "maybe");
    await wizard.waitFor(/Answer y or n/);
    wizard.type(`${BACKSPACE.repeat(5)}y\r`);
    await wizard.answer(/What type of schedule/, DOWN);
    await wizard.answer(/Cron string/, "0 9 * * 1-5");
    await wizard.answer(/another schedule/, ENTER);
    await wizard.answer(/Timezone/, "Europe/Berlin");
    await wizard.answer(/save configuration/, "y");

    assert.equal(await wizard.finish(), 0, wizard.text);
    const [schedule] = (await findDeployment("scheduled"))?.schedules ?? [];
    assert.deepEqual(schedule?.schedule, { cron: "0 9 * * 1-5", timezone: "Europe/Berlin", day_or: true });
    assert.match(await readFile(join(project, "prefect.yaml"), "utf8"), /cron: 0 9 \* \* 1-5/);
  });

  test("without any pool one is made", async () => {
    const wizard = open("deploy", "repo_info.py:get_repo_info", "-n", "first");

    await wizard.answer(/configure a schedule/, "n");
    await wizard.answer(/Would you like to create one/, ENTER);
    const types = (await plane.client.server.listWorkerTypes())
      .map(({ type }) => type)
      .filter((type) => type !== "prefect-agent");
    const steps = types.toSorted((a, b) => a.localeCompare(b)).indexOf("process");
    await wizard.answer(/What infrastructure type/, DOWN.repeat(steps));
    await wizard.answer(/Work pool name/, "made-here");
    await wizard.answer(/save configuration/, "n");

    assert.equal(await wizard.finish(), 0, wizard.text);
    assert.equal((await plane.client.workPools.get("made-here")).type, "process");
    assert.equal((await findDeployment("first"))?.work_pool_name, "made-here");
  });

  test("a deployment that the file has is deployed without a question", async () => {
    await plane.client.workPools.create({ name: "a-pool", type: "process" });
    await writeFile(
      join(project, "prefect.yaml"),
      "deployments:\n- name: from-file\n  entrypoint: repo_info.py:get_repo_info\n  work_pool:\n    name: a-pool\n",
    );

    assert.equal(await open("deploy").finish(), 0, terminal.text);
    assert.notEqual(await findDeployment("from-file"), undefined);
  });

  test("Ctrl-C at a question ends the wizard with 130 and registers nothing", async () => {
    await plane.client.workPools.create({ name: "a-pool", type: "process" });
    const wizard = open("deploy", "repo_info.py:get_repo_info", "-n", "dropped");

    await wizard.waitFor(/configure a schedule/);
    await wizard.waitFor(/└/);
    wizard.type(CTRL_C);

    assert.equal(await wizard.finish(), 130, wizard.text);
    assert.equal(await findDeployment("dropped"), undefined);
  });

  test("a deletion asks first, and no leaves everything", async () => {
    await plane.client.workPools.create({ name: "precious", type: "process" });

    const no = open("work-pool", "delete", "precious");
    await no.answer(/Delete work pool "precious"/, ENTER);
    assert.equal(await no.finish(), 1, no.text);
    assert.notEqual(await plane.client.workPools.find("precious"), undefined);

    assert.equal(await open("work-pool", "delete", "precious", "--no-prompt").finish(), 0, terminal.text);
    assert.equal(await plane.client.workPools.find("precious"), undefined);
  });
});
