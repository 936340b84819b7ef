import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { planRelease, type ReleaseRequest, release } from "../../src/release/release.ts";
import { listPreviews, removePreview } from "../../src/release/remove-preview.ts";
import { type PrefectServer, startPrefectServer } from "../support/prefect-server.ts";

const { prefect } = await loadMachine();
const skip = prefect.available ? false : prefect.reason;

const FLOW = `from prefect import flow


@flow
def hello(name: str = "world", times: int = 1):
    """Say hello."""
`;

const entry = (name: string, more = "") => `- name: ${name}
  entrypoint: flow.py:hello
  work_pool: {name: pool}
${more}`;

describe("releases against a stock Prefect server", { skip }, () => {
  let server: PrefectServer;
  let client: PrefectClient;
  let root = "";
  let said: string[] = [];

  before(async () => {
    root = await mkdtemp(path.join(tmpdir(), "flowyard-stock-"));
    server = await startPrefectServer(prefect.available ? prefect.prefect : "");
    client = createPrefectClient({ apiUrl: server.apiUrl });
    await client.workPools.create({ name: "pool", type: "process" });
    await writeFile(path.join(root, "flow.py"), FLOW);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
  });

  async function request(deployments: string, change: Partial<ReleaseRequest> = {}): Promise<ReleaseRequest> {
    await writeFile(path.join(root, "prefect.yaml"), `deployments:\n${deployments}`);
    said = [];
    const say = (text: string) => {
      said.push(text);
    };
    return {
      root,
      projectFile: "prefect.yaml",
      selection: { names: [], all: true },
      flags: {},
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", GIT_CONFIG_GLOBAL: "/dev/null" },
      client,
      output: { progress: say, warn: say, write: say },
      signal: new AbortController().signal,
      scope: { repository: "acme/etl", project_path: ".", environment: "production" },
      source: { event: "cli" },
      adopt: false,
      ...change,
    };
  }

  const told = (changes: { action: string; deployment: string }[]) =>
    changes.map(({ action, deployment }) => `${action} ${deployment}`);

  const FULL = entry(
    "full",
    `  tags: [b, a]
  description: What it does
  parameters: {name: ada}
  concurrency_limit: {limit: 2, collision_strategy: CANCEL_NEW}
  schedules:
  - {cron: "0 6 * * *", timezone: Europe/Berlin, slug: daily}
  - {interval: 3600, slug: hourly, parameters: {times: 2}}
  triggers:
  - {type: event, expect: [file.written], parameters: {name: "{{ event.id }}"}}
`,
  );

  test("a plan is applied deployment by deployment, and the same again is nothing", async () => {
    const plan = await planRelease(await request(FULL + entry("plain")));
    const first = await release(await request(FULL + entry("plain")), plan.plan.plan_hash);
    const again = await release(await request(FULL + entry("plain")), undefined);

    assert.equal(plan.isStockServer, true);
    assert.deepEqual(told(plan.plan.changes), ["create hello/full", "create hello/plain"]);
    assert.equal(first.release, null);
    assert.deepEqual(Object.keys(first.deployments).sort(), ["hello/full", "hello/plain"]);
    assert.deepEqual(again.changes, []);
    assert.equal(again.changed, false);
    const full = await client.deployments.findByName("hello", "full");
    assert.equal(full?.schedules.length, 2);
    assert.equal((await client.automations.listRelatedTo(`prefect.deployment.${full?.id}`)).length, 1);
  });

  test("only what differs is changed: an operator's pause of a schedule stays", async () => {
    const before = await client.deployments.findByName("hello", "full");
    const daily = before?.schedules.find(({ slug }) => slug === "daily");
    await client.deployments.updateSchedule(before?.id ?? "", daily?.id ?? "", { active: false });
    const changed = FULL.replace("tags: [b, a]", "tags: [c]").replace("3600", "7200");

    const result = await release(await request(changed + entry("plain")), undefined);
    const again = await release(await request(changed + entry("plain")), undefined);

    assert.deepEqual(told(result.changes), ["update hello/full"]);
    assert.equal(again.changed, false);
    const after = await client.deployments.findByName("hello", "full");
    assert.deepEqual(after?.tags, ["c"]);
    assert.equal(after?.id, before?.id);
    const states = after?.schedules.map(({ slug, active, schedule }) => [
      slug,
      active,
      "interval" in schedule && schedule.interval,
    ]);
    assert.deepEqual(states?.toSorted(), [
      ["daily", false, false],
      ["hourly", true, 7200],
    ]);
  });

  test("schedules and triggers that the file drops are gone", async () => {
    const bare = entry("full", "  schedules: []\n") + entry("plain");

    const result = await release(await request(bare), undefined);
    const again = await release(await request(bare), undefined);

    assert.deepEqual(told(result.changes), ["update hello/full"]);
    assert.equal(again.changed, false);
    const after = await client.deployments.findByName("hello", "full");
    assert.deepEqual(after?.schedules, []);
    assert.deepEqual(await client.automations.listRelatedTo(`prefect.deployment.${after?.id}`), []);
  });

  test("what it made and the project lacks is paused once; what somebody else made is left alone", async () => {
    const flow = await client.flows.create({ name: "hello" });
    await client.deployments.create({ name: "by-hand", flow_id: flow.id });

    const result = await release(await request(entry("full")), undefined);
    const again = await release(await request(entry("full")), undefined);

    assert.deepEqual(told(result.changes), ["pause hello/plain"]);
    assert.equal(again.changed, false);
    assert.equal((await client.deployments.findByName("hello", "plain"))?.paused, true);
    assert.equal((await client.deployments.findByName("hello", "by-hand"))?.paused, false);
  });

  test("a deployment of another scope is a conflict, and nothing is changed", async () => {
    const scope = { repository: "acme/other", project_path: ".", environment: "production" };

    await assert.rejects(release(await request(entry("full", "  tags: [x]\n"), { scope }), undefined), {
      code: "RELEASE_CONFLICT",
    });
    assert.deepEqual((await client.deployments.findByName("hello", "full"))?.tags, []);
  });

  test("every failure is told, and the others are in place", async () => {
    const refusing: PrefectClient = {
      ...client,
      deployments: {
        ...client.deployments,
        create: (body) =>
          client.deployments.create(body.name.startsWith("bad") ? { ...body, work_pool_name: "gone" } : body),
      },
    };
    const project = entry("bad-1") + entry("good") + entry("bad-2") + entry("full");

    await assert.rejects(release(await request(project, { client: refusing }), undefined), (error: Error) => {
      assert.match(error.message, /2 of \d deployments/);
      assert.match(error.message, /create hello\/bad-1: .*gone/);
      assert.match(error.message, /create hello\/bad-2: .*gone/);
      return true;
    });
    assert.ok(await client.deployments.findByName("hello", "good"));
  });

  test("a preview is made under its own names, is found again by its labels, and is deleted whole", async () => {
    const scope = { repository: "acme/etl", project_path: ".", environment: "pr-7" };
    const project = FULL + entry("plain");
    const signal = new AbortController().signal;
    const removal = { client, ...scope, source: { event: "cli" }, signal };

    const made = await release(await request(project, { scope, isPreview: true }), undefined);
    const again = await release(await request(project, { scope, isPreview: true }), undefined);
    const preview = await client.deployments.findByName("hello", "full-pr-7");
    const triggers = await client.automations.listRelatedTo(`prefect.deployment.${preview?.id}`);
    const listed = await listPreviews(client, "acme/etl");
    const foreign = await listPreviews(client, "acme/other");
    const removed = await removePreview(removal);
    const twice = await removePreview(removal);

    assert.deepEqual(told(made.changes), ["create hello/full-pr-7", "create hello/plain-pr-7"]);
    assert.equal(again.changed, false);
    assert.deepEqual(new Set(preview?.schedules.map(({ active }) => active)), new Set([false]));
    assert.deepEqual(
      triggers.map(({ enabled }) => enabled),
      [false],
    );
    assert.deepEqual([listed, foreign], [["pr-7"], []]);
    assert.deepEqual(told(removed.flatMap(({ changes }) => changes)), [
      "delete hello/full-pr-7",
      "delete hello/plain-pr-7",
    ]);
    assert.deepEqual(twice, []);
    assert.equal(await client.deployments.findByName("hello", "full-pr-7"), undefined);
    assert.ok(await client.deployments.findByName("hello", "full"));
  });

  test("a plan that no longer holds is refused", async () => {
    await assert.rejects(release(await request(entry("full", "  tags: [y]\n")), "0".repeat(64)), {
      code: "PLAN_CHANGED",
    });
  });
});
