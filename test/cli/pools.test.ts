import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startTestPlane, type TestPlane } from "./test-plane.ts";

let plane: TestPlane;

describe("pool and queue commands", () => {
  before(async () => {
    plane = await startTestPlane();
  });

  after(() => plane[Symbol.asyncDispose]());

  async function succeed(...argv: string[]) {
    const printed = await plane.cli(argv);
    assert.equal(printed.code, 0, `${argv.join(" ")}: ${printed.stderr}`);
    return printed;
  }

  async function fail(...argv: string[]) {
    const printed = await plane.cli(argv);
    assert.equal(printed.code, 1, `${argv.join(" ")}: ${printed.stdout}${printed.stderr}`);
    assert.equal(printed.stdout, "");
    return printed.stderr;
  }

  test("a Docker pool is created with its type's template and listed", async () => {
    await succeed("work-pool", "create", "--type", "docker", "my-docker-pool");

    const { stdout } = await succeed("work-pool", "ls");
    const pool = JSON.parse((await succeed("work-pool", "inspect", "my-docker-pool", "--json")).stdout);
    const template = JSON.parse((await succeed("work-pool", "get-default-base-job-template", "-t", "docker")).stdout);

    assert.match(stdout, /^my-docker-pool\tdocker\tNOT_READY\t/m);
    assert.deepEqual(pool.base_job_template, template);
  });

  test("a pool that exists is refused, and updated with --overwrite", async () => {
    await succeed("work-pool", "create", "--type", "process", "twice");

    assert.match(
      await fail("work-pool", "create", "--type", "process", "twice"),
      /already a work pool "twice".*\n.*--overwrite/,
    );
    assert.match(
      await fail("work-pool", "create", "--type", "docker", "twice", "--overwrite"),
      /WORK_POOL_TYPE_MISMATCH/,
    );
    await succeed("work-pool", "create", "--type", "process", "twice", "--overwrite", "--paused");

    assert.equal((await plane.client.workPools.get("twice")).is_paused, true);
  });

  test("the runs that hold slots of a pool and of a queue are shown, with the limit", async () => {
    await succeed("work-pool", "create", "--type", "process", "slotted", "--concurrency-limit", "3");
    const flow = await plane.client.flows.create({ name: "etl" });
    const { value: run } = await plane.client.flowRuns.create({
      flow_id: flow.id,
      work_pool_name: "slotted",
      state: { type: "PENDING" },
    });

    const ofPool = await succeed("work-pool", "slots", "slotted");
    const ofQueue = JSON.parse((await succeed("work-queue", "slots", "default", "-p", "slotted", "--json")).stdout);

    assert.match(ofPool.stderr, /Slots in use of work pool "slotted": 1, of 3\./);
    assert.match(ofPool.stdout, new RegExp(`^default\\t${run.name}\\tPending\\t.*${run.id}`));
    assert.deepEqual([ofQueue.active_slots, ofQueue.flow_runs[0].id], [1, run.id]);
    assert.match(await fail("work-pool", "slots", "nowhere"), /no work pool "nowhere"/);
  });

  test("a pool's storage is shown, and configuring it is Prefect's", async () => {
    await succeed("work-pool", "create", "--type", "process", "stored");

    const shown = await succeed("work-pool", "storage", "inspect", "stored");
    const json = JSON.parse((await succeed("work-pool", "storage", "inspect", "stored", "--json")).stdout);

    assert.match(shown.stderr, /no storage configured/);
    assert.equal(json.bundle_upload_step, null);
    assert.match(
      await fail("work-pool", "storage", "configure", "s3", "stored", "--bucket", "b"),
      /Hint: .*prefect work-pool/,
    );
  });

  test("a pool is changed verb by verb", async () => {
    await succeed("work-pool", "create", "--type", "process", "changing");
    const now = () => plane.client.workPools.get("changing");

    await succeed("work-pool", "update", "changing", "--description", "mine", "--concurrency-limit", "3");
    assert.deepEqual([(await now()).description, (await now()).concurrency_limit], ["mine", 3]);
    await succeed("work-pool", "clear-concurrency-limit", "changing");
    assert.equal((await now()).concurrency_limit, null);
    await succeed("work-pool", "set-concurrency-limit", "changing", "7");
    assert.equal((await now()).concurrency_limit, 7);
    await succeed("work-pool", "pause", "changing");
    assert.equal((await now()).status, "PAUSED");
    await succeed("work-pool", "resume", "changing");
    assert.equal((await now()).is_paused, false);
    await succeed("work-pool", "preview", "changing");
    await succeed("work-pool", "delete", "changing");
    assert.equal(await plane.client.workPools.find("changing"), undefined);
  });

  test("a template can come from a file, and a wrong one is named", async () => {
    const file = join(plane.folder, "template.json");
    await succeed("work-pool", "get-default-base-job-template", "-t", "process", "-f", "template.json");
    await succeed("work-pool", "create", "-t", "process", "from-file", "--base-job-template", "template.json");
    await writeFile(file, "[]");

    assert.match(
      await fail("work-pool", "update", "from-file", "--base-job-template", "template.json"),
      /template\.json/,
    );
    assert.match(
      await fail("work-pool", "update", "from-file", "--base-job-template", "none.json"),
      /none\.json.*cannot be read/,
    );
  });

  test("--set-as-default makes the pool the one that commands mean", async () => {
    await succeed("work-pool", "create", "-t", "process", "chosen", "--set-as-default");

    assert.match(await readFile(join(plane.folder, "home", "profiles.json"), "utf8"), /"chosen"/);
    assert.match((await succeed("work-pool", "preview")).stderr, /"chosen"/);
  });

  test("queues are created, changed, inspected and deleted", async () => {
    await succeed("work-pool", "create", "-t", "process", "queued");
    await succeed("work-queue", "create", "high", "-p", "queued", "-l", "2", "-q", "1");

    const listed = JSON.parse((await succeed("work-queue", "ls", "-p", "queued", "--json")).stdout);
    assert.deepEqual(listed.map((queue: { name: string; priority: number }) => [queue.name, queue.priority]).sort(), [
      ["default", 2],
      ["high", 1],
    ]);
    await succeed("work-queue", "pause", "high");
    await succeed("work-queue", "set-concurrency-limit", "high", "5", "-p", "queued");
    const inspected = JSON.parse((await succeed("work-queue", "inspect", "high", "-o", "json")).stdout);
    assert.deepEqual([inspected.is_paused, inspected.concurrency_limit], [true, 5]);
    await succeed("work-queue", "resume", "high");
    await succeed("work-queue", "clear-concurrency-limit", "high");
    await succeed("work-queue", "preview", "high", "-p", "queued");
    await succeed("work-queue", "read-runs", "high");
    await succeed("work-queue", "delete", "high", "-y");
    assert.equal(await plane.client.workQueues.findInPool("queued", "high"), undefined);
  });

  test("a queue name that several pools have needs the pool", async () => {
    assert.match(
      await fail("work-queue", "inspect", "default"),
      /Several pools have a work queue "default".*\n.*--pool/,
    );
  });

  for (const [argv, expected] of [
    [["work-pool", "inspect", "my-docker-pol"], /no work pool "my-docker-pol".*\n.*Did you mean "my-docker-pool"/],
    [["work-pool", "create", "x", "--type", "dokcer"], /no work pool type "dokcer".*Did you mean "docker"/],
    [["work-pool", "create", "x"], /--type is missing.*\n.*docker/],
    [["work-pool", "create", "a/b", "--type", "process"], /422/],
    [["work-pool", "inspcet", "x"], /no command "inspcet".*Did you mean "inspect"/],
    [["wrok-pool", "ls"], /no command "wrok-pool".*Did you mean "work-pool"/],
    [["work-pool", "ls", "--jsn"], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [["work-pool", "set-concurrency-limit", "my-docker-pool", "-1"], /unknown option|whole number/],
    [["work-pool", "set-concurrency-limit", "my-docker-pool", "many"], /whole number/],
    [["work-pool", "inspect"], /missing required argument 'name'/],
    [["work-pool", "create", "prefect-x", "--type", "process"], /403/],
    [["work-queue", "inspect", "defalt", "-p", "my-docker-pool"], /Did you mean "default"/],
    [["work-queue", "delete", "default", "-p", "my-docker-pool"], /409/],
  ] as const) {
    test(`${argv.join(" ")} is refused in a sentence`, async () => {
      assert.match(await fail(...argv), expected);
    });
  }

  test("a plane that is not there is named, with what to do", async () => {
    const { code, stderr } = await plane.cli(["work-pool", "ls"], {
      env: { PREFECT_API_URL: "http://127.0.0.1:1/api" },
    });

    assert.equal(code, 1);
    assert.match(stderr, /cannot be reached.*http:\/\/127\.0\.0\.1:1\/api.*flowyard server start.*PLANE_UNREACHABLE/);
  });

  test("an API URL without /api is pointed at", async () => {
    const { code, stderr } = await plane.cli(["work-pool", "ls"], {
      env: { PREFECT_API_URL: plane.apiUrl.replace(/\/api$/, "") },
    });

    assert.equal(code, 1);
    assert.match(stderr, /ends in \/api/);
  });
});
