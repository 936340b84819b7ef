import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Printed, startTestPlane, type TestPlane } from "./test-plane.ts";

const FLOW = "from prefect import flow\n\n\n@flow\ndef hello():\n    pass\n";

describe("catch_up of a deployment in prefect.yaml", () => {
  let plane: TestPlane;
  let folder = "";

  before(async () => {
    plane = await startTestPlane();
    folder = join(plane.folder, "etl");
    await mkdir(folder);
    await writeFile(join(folder, "flow.py"), FLOW);
    await plane.client.workPools.create({ name: "pool", type: "process" });
  });
  after(() => plane[Symbol.asyncDispose]());

  async function run(line: string, more: string): Promise<Printed> {
    const entry = `{name: one, entrypoint: "flow.py:hello", work_pool: {name: pool}${more}}`;
    await writeFile(join(folder, "prefect.yaml"), `deployments:\n- ${entry}\n`);
    return plane.cli(line.split(" "), { workingDirectory: folder, env: { PATH: "/usr/bin:/bin" } });
  }

  async function readCatchUp(): Promise<unknown> {
    const deployment = await plane.client.deployments.findByName("hello", "one");
    const answer = await fetch(`${plane.apiUrl}/flowyard/deployments/${deployment?.id ?? ""}/catch_up`);
    assert.equal(answer.status, 200);
    return answer.json();
  }

  test("goes with a plain deploy, and stays when the next one does not say it", async () => {
    const first = await run("deploy --all", ", catch_up: latest");
    assert.equal(first.code, 0, first.stderr);
    assert.deepEqual(await readCatchUp(), { policy: "latest", max_lateness_seconds: 86_400 });

    const second = await run("deploy --all", "");
    assert.equal(second.code, 0, second.stderr);
    assert.deepEqual(await readCatchUp(), { policy: "latest", max_lateness_seconds: 86_400 });
  });

  test("is shown by a plan, applied by a release, and taken back by one that lacks it", async () => {
    const text = ", catch_up: {policy: all, max_lateness_seconds: 3600}";

    const plan = await run("plan --environment production --adopt", text);
    assert.match(plan.stdout, /catch_up.*"all"/s, plan.stdout + plan.stderr);
    const applied = await run("deploy --environment production --adopt", text);
    assert.equal(applied.code, 0, applied.stderr);
    assert.deepEqual(await readCatchUp(), { policy: "all", max_lateness_seconds: 3600 });

    await run("deploy --environment production", "");
    assert.equal(await readCatchUp(), null);
  });

  test("that is wrong is refused with its place", async () => {
    const wrongPolicy = await run("deploy --all", ", catch_up: sometimes");
    const wrongTime = await run("deploy --all", ", catch_up: {policy: all, max_lateness_seconds: 0}");

    assert.match(
      wrongPolicy.stderr,
      /prefect\.yaml:2:\d+: deployment "one": catch_up is "sometimes".*none, latest or all/,
    );
    assert.match(
      wrongTime.stderr,
      /catch_up\.max_lateness_seconds must be a whole number of seconds from 1 to 2678400/,
    );
  });
});
