import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createDeployment, startTestPlane, type TestPlane } from "./test-plane.ts";

const NAME = "get-repo-info/my-deployment";
let plane: TestPlane;

describe("deployment and run commands", () => {
  before(async () => {
    plane = await startTestPlane();
    await createDeployment(plane.client);
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

  async function run(...argv: string[]) {
    const { stdout } = await succeed("deployment", "run", ...argv);
    return plane.client.flowRuns.get(stdout.trim());
  }

  test("deployments are listed and inspected", async () => {
    assert.match((await succeed("deployment", "ls")).stdout, /^get-repo-info\/my-deployment\tpool\tNOT_READY/m);
    assert.match((await succeed("deployments", "LS", "get-repo-info")).stdout, /my-deployment/);
    assert.equal((await succeed("deployment", "ls", "other-flow")).stdout, "");
    const inspected = JSON.parse((await succeed("deployment", "inspect", NAME, "--json")).stdout);
    assert.deepEqual([inspected.name, inspected.flow_name], ["my-deployment", "get-repo-info"]);
  });

  test("a run is created with what the flags say, and its id is the output", async () => {
    const flowRun = await run(
      ...[NAME, "-p", "repo=a", "--params", '{"stars": 2, "repo": "b"}', "--tag", "x", "-t", "y"],
      ...["--job-variable", "env={}", "--flow-run-name", "mine"],
    );

    assert.deepEqual(flowRun.parameters, { repo: "a", stars: 2 });
    assert.deepEqual(flowRun.tags.toSorted(), ["x", "y"]);
    assert.equal(flowRun.name, "mine");
    assert.equal(flowRun.state_type, "SCHEDULED");
  });

  test("the flow may be spelled as its function, and the deployment by its id", async () => {
    const deployment = await plane.client.deployments.findByName("get-repo-info", "my-deployment");

    assert.equal((await run("get_repo_info/my-deployment")).deployment_id, deployment?.id);
    assert.equal((await run("--id", deployment?.id ?? "")).deployment_id, deployment?.id);
    assert.equal((await run(deployment?.id ?? "")).deployment_id, deployment?.id);
  });

  test("parameters can come from standard input", async () => {
    const { stdout } = await plane.cli(["deployment", "run", NAME, "--params", "-"], { stdin: '{"stars": 3}' });

    assert.deepEqual((await plane.client.flowRuns.get(stdout.trim())).parameters, { stars: 3 });
  });

  test("--start-in and --start-at say when", async () => {
    const before = Date.now();
    const later = await run(NAME, "--start-in", "2 hours");
    const fixed = await run(NAME, "--start-at", "2099-01-02 03:04 UTC");

    const wait = Date.parse(later.expected_start_time ?? "") - before;
    assert.ok(wait >= 7_199_000 && wait < 7_260_000, String(wait));
    assert.equal(fixed.expected_start_time, "2099-01-02T03:04:00.000000Z");
  });

  test("a run that no worker will take is warned about", async () => {
    assert.match((await succeed("deployment", "run", NAME)).stderr, /No worker is online for work pool "pool"/);
  });

  test("schedules are added, paused, resumed, replaced and cleared", async () => {
    const schedules = async () => JSON.parse((await succeed("deployment", "schedule", "ls", NAME, "--json")).stdout);

    await succeed("deployment", "schedule", "create", NAME, "--cron", "0 9 * * *", "--timezone", "Europe/Berlin");
    await succeed("deployment", "schedule", "create", NAME, "--interval", "3600", "--no-active");
    assert.equal((await schedules()).length, 2);
    await succeed("deployment", "schedule", "resume", NAME, "--all");
    assert.ok((await schedules()).every(({ active }: { active: boolean }) => active));
    const [{ id }] = await schedules();
    await succeed("deployment", "schedule", "pause", NAME, id);
    assert.equal((await schedules()).filter(({ active }: { active: boolean }) => !active).length, 1);
    await succeed("deployment", "schedule", "delete", NAME, id, "-y");
    await succeed("deployment", "schedule", "create", NAME, "--rrule", "FREQ=DAILY", "--replace", "-y");
    assert.deepEqual(
      (await schedules()).map(({ schedule }: { schedule: { rrule: string } }) => schedule.rrule),
      ["DTSTART:20200101T000000\nFREQ=DAILY"],
    );
    await succeed("deployment", "schedule", "clear", NAME, "--accept-yes");
    assert.deepEqual(await schedules(), []);
  });

  test("a refused schedule leaves those that are there", async () => {
    await succeed("deployment", "schedule", "create", NAME, "--cron", "0 9 * * *");

    await fail("deployment", "schedule", "create", NAME, "--cron", "0 9 * *", "--replace");

    assert.match((await succeed("deployment", "schedule", "ls", NAME)).stdout, /cron 0 9 \* \* \*/);
  });

  test("a deployment is paused, resumed and deleted", async () => {
    await createDeployment(plane.client, "other", "doomed");

    await succeed("deployment", "pause", "other/doomed");
    assert.match((await succeed("deployment", "ls", "other")).stdout, /PAUSED/);
    await succeed("deployment", "resume", "other/doomed");
    await succeed("deployment", "delete", "other/doomed");
    assert.equal(await plane.client.deployments.findByName("other", "doomed"), undefined);
  });

  test("runs are listed, cancelled, retried, inspected and deleted", async () => {
    const { id } = await run(NAME, "--start-in", "1 day", "--flow-run-name", "tomorrow");

    assert.match((await succeed("flow-run", "ls", "--flow-name", "get-repo-info")).stdout, /tomorrow/);
    assert.match((await succeed("flow-run", "cancel", "tomorrow")).stderr, /cancelled: it had not started/);
    assert.match(await fail("flow-run", "cancel", id), /cannot be cancelled.*CANCELLED/);
    await succeed("flow-run", "retry", id);
    assert.match(await fail("flow-run", "retry", id), /is SCHEDULED; only a run that has ended/);
    assert.match((await succeed("flow-run", "ls", "--state-type", "scheduled")).stdout, new RegExp(id));
    assert.equal(JSON.parse((await succeed("flow-run", "inspect", id, "--json")).stdout).name, "tomorrow");
    await succeed("flow-run", "delete", id);
    assert.match(await fail("flow-run", "inspect", id), /no flow run with id/);
  });

  test("runs are listed by deployment and by work pool", async () => {
    const { id } = await run(NAME, "--start-in", "1 day", "--flow-run-name", "mine");
    const poolName = (await plane.client.flowRuns.get(id)).work_pool_name ?? "";
    const other = await createDeployment(plane.client, "other", "beside");
    await run("other/beside", "--start-in", "1 day", "--flow-run-name", "not-mine");
    const list = async (...options: string[]) => {
      const runs: { name: string }[] = JSON.parse((await succeed("flow-run", "ls", "--json", ...options)).stdout);
      return runs.map(({ name }) => name);
    };

    const mine = await list("--deployment", NAME, "--state-type", "SCHEDULED");
    assert.deepEqual([mine.includes("mine"), mine.includes("not-mine")], [true, false]);
    assert.deepEqual(await list("--deployment", other.id), ["not-mine"]);
    assert.ok((await list("--pool", poolName)).includes("mine"));
    await plane.client.workPools.create({ name: "idle", type: "process" });
    assert.deepEqual(await list("--pool", "idle"), []);
    await succeed("flow-run", "delete", id);
  });

  test("stored log lines are printed whole, from the head, from the tail and in reverse", async () => {
    const { id, name } = await run(NAME);
    const line = (index: number) => ({
      name: "prefect.flow_runs",
      level: index === 249 ? 40 : 20,
      message: `line ${index}`,
      timestamp: new Date(Date.UTC(2026, 0, 1, 0, 0, index)).toISOString(),
      flow_run_id: id,
    });
    await plane.client.logs.create(Array.from({ length: 250 }, (_, index) => line(index)));
    const messages = async (...argv: string[]) =>
      (await succeed("flow-run", "logs", id, ...argv)).stdout
        .trimEnd()
        .split("\n")
        .map((text) => text.split(" - ").at(-1));

    assert.equal((await messages()).length, 250);
    assert.deepEqual(await messages("--head", "-n", "2"), ["line 0", "line 1"]);
    assert.deepEqual(await messages("--tail", "-n", "2"), ["line 248", "line 249"]);
    assert.deepEqual(await messages("--reverse", "-n", "2"), ["line 249", "line 248"]);
    assert.equal((await messages("--tail")).length, 20);
    const { stdout } = await succeed("flow-run", "logs", id, "--tail", "-n", "1");
    assert.match(stdout, new RegExp(`\\| ERROR   \\| Flow run '${name}' - line 249`));
  });

  for (const [argv, expected] of [
    [["deployment", "run", "get-repo-info/my-deploymen"], /Did you mean "get-repo-info\/my-deployment"/],
    [["deployment", "run", "my-deployment"], /full name.*\n.*get-repo-info\/my-deployment/],
    [["deployment", "run"], /Name one deployment/],
    [["deployment", "run", NAME, "-p", "star=1"], /no parameter "star".*Did you mean "stars"/],
    [["deployment", "run", NAME, "-p", "stars=many"], /stars.*not of type 'integer'/],
    [["deployment", "run", NAME, "-p", "stars"], /--param is "stars"/],
    [["deployment", "run", NAME, "--params", "{"], /--params is not JSON/],
    [["deployment", "run", NAME, "--start-in", "soon"], /--start-in is "soon".*\n.*5 minutes/],
    [["deployment", "run", NAME, "--start-in", "1h", "--start-at", "5pm"], /not both/],
    [["deployment", "run", "11111111-1111-4111-8111-111111111111"], /no deployment with id/],
    [["deployment", "delete"], /Name one deployment/],
    [["deployment", "schedule", "create", NAME], /exactly one of/],
    [["deployment", "schedule", "create", NAME, "--cron", "0 9 * *"], /Invalid cron string/],
    [["deployment", "schedule", "create", NAME, "--cron", "0 9 * * *", "--timezone", "Mars"], /Invalid timezone/],
    [["deployment", "schedule", "pause", NAME], /--all/],
    [["deployment", "schedule", "delete", NAME, "none"], /no schedule "none"/],
    [["flow-run", "inspect", "nobody"], /no flow run "nobody"/],
    [["flow-run", "ls", "--deployment", "other"], /no deployment|full name of a deployment/],
    [["flow-run", "ls", "--pool", "nowhere"], /no work pool/],
    [["flow-run", "ls", "--state-type", "COMPLET"], /Did you mean "COMPLETED"/],
  ] as const) {
    test(`${argv.join(" ")} is refused in a sentence`, async () => {
      assert.match(await fail(...argv), expected);
    });
  }
});
