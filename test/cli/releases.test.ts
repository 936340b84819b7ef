import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { z } from "zod";
import { AppliedRelease, Drift, Plan, Release, ReleaseDiff } from "../../src/flowyard-api/releases.ts";
import { type CommandOptions, type Printed, startTestPlane, type TestPlane } from "./test-plane.ts";

const run = promisify(execFile);
const FLOW = `from prefect import flow


@flow
def hello(name: str = "world", times: int = 1):
    """Say hello."""
`;

function writeProject(...deployments: string[]): string {
  return `deployments:\n${deployments.map((text) => `- ${text}\n`).join("")}`;
}
const one = (more = "") => `{name: one, entrypoint: "flow.py:hello", work_pool: {name: pool}${more}}`;
const two = (more = "") => `{name: two, entrypoint: "flow.py:hello", work_pool: {name: pool}${more}}`;

describe("releases on the command line", () => {
  let plane: TestPlane;
  let folder = "";
  const env = {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_AUTHOR_NAME: "Ada",
    GIT_AUTHOR_EMAIL: "ada@example.org",
    GIT_COMMITTER_NAME: "Ada",
    GIT_COMMITTER_EMAIL: "ada@example.org",
    USER: "ada",
  };
  let minute = 0;

  before(async () => {
    plane = await startTestPlane();
    folder = join(plane.folder, "etl");
    await mkdir(folder);
    await git("init", "-q", "-b", "main");
    await git("remote", "add", "origin", "https://x-token:secret@github.com/acme/etl.git");
    await writeFile(join(folder, "flow.py"), FLOW);
    await plane.client.workPools.create({ name: "pool", type: "process" });
  });
  after(() => plane[Symbol.asyncDispose]());

  async function git(...args: string[]): Promise<string> {
    const date = `2026-11-24T09:${String(minute).padStart(2, "0")}:00Z`;
    const dates = { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
    return (await run("git", args, { cwd: folder, env: { ...env, ...dates } })).stdout.trim();
  }

  /** A commit with this project file, a minute after the one before. Answers its SHA. */
  async function commit(prefectYaml: string): Promise<string> {
    minute += 1;
    await writeFile(join(folder, "prefect.yaml"), prefectYaml);
    await git("add", ".");
    await git("commit", "-q", "--allow-empty", "-m", `commit ${minute}`);
    return git("rev-parse", "HEAD");
  }

  const cli = (line: string, options: CommandOptions = {}): Promise<Printed> =>
    plane.cli(line.split(" "), { workingDirectory: folder, ...options, env: { ...env, ...options.env } });

  async function json<S extends z.ZodType>(schema: S, line: string): Promise<z.infer<S>> {
    const { code, stdout, stderr } = await cli(`${line} --json`);
    assert.equal(code, 0, stderr);
    return schema.parse(JSON.parse(stdout));
  }

  const actions = (changes: Plan["changes"]) => changes.map(({ action, deployment }) => `${action} ${deployment}`);

  test("a plan shows what a deploy with its hash then does, and the same again is nothing", async () => {
    const sha = await commit(writeProject(one(), two(', schedules: [{cron: "0 6 * * *"}]')));

    const shown = await cli("plan --detailed-exitcode");
    const plan = await json(Plan, "plan");
    const deployed = await json(AppliedRelease.partial({ release: true }), `deploy --plan-hash ${plan.plan_hash}`);
    const again = await json(AppliedRelease, "deploy --environment production");
    const sameHash = await json(AppliedRelease, `deploy --plan-hash ${plan.plan_hash}`);
    const after = await cli("plan --detailed-exitcode");

    assert.equal(shown.code, 2);
    assert.match(shown.stdout, /^\+ create hello\/one$/m);
    assert.match(shown.stdout, /^ {4}work_pool_name: "pool"$/m);
    assert.match(shown.stdout, /next: \d{4}-\d\d-\d\d 06:00:00Z, /);
    assert.match(shown.stderr, /production: 2 to create\./);
    assert.deepEqual(plan.scope, { repository: "acme/etl", project_path: ".", environment: "production" });
    assert.deepEqual(Object.keys(deployed.deployments).sort(), ["hello/one", "hello/two"]);
    assert.equal(deployed.release?.source.commit_sha, sha);
    assert.equal(deployed.release?.source.actor, "ada");
    assert.equal(again.changed, false);
    assert.equal(sameHash.changed, false);
    assert.equal(after.code, 0);
    assert.match(after.stderr, /production: 2 unchanged\./);
  });

  test("a plan that no longer holds is refused, and nothing is changed", async () => {
    await commit(writeProject(one(", tags: [new]"), two()));
    const plan = await json(Plan, "plan");
    const found = await plane.client.deployments.findByName("hello", "one");
    await plane.client.deployments.update(found?.id ?? "", { tags: ["by-hand"] });

    const { code, stderr } = await cli(`deploy --plan-hash ${plan.plan_hash}`);

    assert.equal(code, 1);
    assert.match(stderr, /\[PLAN_CHANGED\]/);
    assert.deepEqual((await plane.client.deployments.findByName("hello", "one"))?.tags, ["by-hand"]);
  });

  test("drift names what was changed by hand", async () => {
    const { code, stdout, stderr } = await cli("drift --detailed-exitcode");
    const drift = await json(Drift, "drift");

    assert.equal(code, 2);
    assert.match(stdout, /^~ update hello\/one$/m);
    assert.match(stdout, /^ {4}tags: \[\] → \["by-hand"\]$/m);
    assert.match(stderr, /since release 1/);
    assert.equal(drift.release?.number, 1);
  });

  test("what the file lacks is paused, not deleted; a part of the file prunes nothing", async () => {
    await commit(writeProject(one(", tags: [new]"), two()));
    const part = await json(AppliedRelease, "deploy -n one --environment production");
    const refused = await cli("deploy -n one --environment production --prune pause");
    await commit(writeProject(one(", tags: [newer]")));

    const applied = await cli("deploy --environment production");

    assert.deepEqual(actions(part.release.changes), ["update hello/one"]);
    assert.match(refused.stderr, /only a part.*\[USAGE\]/);
    assert.equal(applied.code, 0, applied.stderr);
    assert.match(applied.stdout, /^- pause hello\/two \(the release lacks it\)$/m);
    assert.equal((await plane.client.deployments.findByName("hello", "two"))?.paused, true);
  });

  test("releases are listed, inspected and compared by number and commit", async () => {
    const sha = await git("rev-parse", "HEAD");

    const list = await cli("release ls --repository acme/etl");
    const listed = await json(z.array(Release), "release ls");
    const inspected = await cli(`release inspect ${sha.slice(0, 8)}`);
    const diff = await json(ReleaseDiff, "release diff 3 --from 1");
    const text = await cli("release diff 3");
    const unknown = await cli("release inspect 99");

    assert.deepEqual(
      listed.map(({ number, live }) => `${number} ${live}`),
      ["3 true", "2 false", "1 false"],
    );
    assert.match(list.stdout, new RegExp(`^3\\tlive\\tproduction\\tacme/etl\\t${sha.slice(0, 12)}\\tada\\tcli\\t`));
    assert.match(inspected.stdout, /Release\s+3 \(live\)/);
    assert.match(inspected.stdout, /acme\/etl, environment production/);
    assert.equal(diff.from?.number, 1);
    assert.match(text.stdout, /tags: \["new"\] → \["newer"\]/);
    assert.match(unknown.stderr, /There is no release "99".*\[NOT_FOUND\]/);
  });

  test("a rollback brings back an earlier release within a second, and only what its plan showed", async () => {
    const dry = await cli("rollback 1 --dry-run");
    const began = performance.now();
    const rolled = await json(AppliedRelease, "rollback 1");
    const elapsed = performance.now() - began;

    assert.match(dry.stdout, /hello\/two/);
    assert.match(dry.stdout, /^Plan hash: /m);
    assert.ok(elapsed < 1000, `it took ${elapsed} ms`);
    assert.notEqual(rolled.release.rollback_of, null);
    assert.deepEqual((await plane.client.deployments.findByName("hello", "one"))?.tags, []);
    assert.equal((await plane.client.deployments.findByName("hello", "two"))?.paused, false);
    assert.equal((await cli("rollback --plan-hash nonsense")).code, 1);
  });

  test("another environment does not take what production owns, unless it is said", async () => {
    const conflict = await cli("deploy --environment staging");
    const plan = await cli("plan --environment staging");
    const adopted = await json(Plan, "plan --environment staging --adopt");

    assert.equal(conflict.code, 1);
    assert.match(conflict.stderr, /\[RELEASE_CONFLICT\]/);
    assert.match(plan.stdout, /^! conflict hello\/one \(owned by acme\/etl, \., environment production\)$/m);
    assert.match(plan.stderr, /would be refused/);
    assert.deepEqual(actions(adopted.changes), ["adopt hello/one"]);
  });

  test("a renamed deployment keeps its id", async () => {
    const before = await plane.client.deployments.findByName("hello", "two");
    await commit(
      writeProject(one(), '{name: second, replaces: two, entrypoint: "flow.py:hello", work_pool: {name: pool}}'),
    );

    const applied = await cli("deploy --environment production");

    assert.match(applied.stdout, /^> rename hello\/second \(was hello\/two\)$/m);
    assert.equal((await plane.client.deployments.findByName("hello", "second"))?.id, before?.id);
  });

  test("a preview has names of its own and starts nothing by itself; removing it deletes it, and only it", async () => {
    const schedules = ', schedules: [{cron: "0 6 * * *"}, {interval: 60, active: true}]';
    await commit(writeProject(one(`, replaces: old${schedules}`), two()));
    await cli("deploy --environment production --adopt");
    const before = await plane.client.deployments.findByName("hello", "one");

    const deployed = await json(AppliedRelease, "deploy --environment pr-7 --preview");
    const preview = await plane.client.deployments.findByName("hello", "one-pr-7");
    const again = await json(AppliedRelease, "deploy --environment pr-7 --preview");
    const removed = await cli("release remove --environment pr-7");
    const twice = await cli("release remove --environment pr-7");

    assert.deepEqual(actions(deployed.release.changes), ["create hello/one-pr-7", "create hello/two-pr-7"]);
    assert.deepEqual(
      preview?.schedules.map(({ active }) => active),
      [false, false],
    );
    assert.equal(again.changed, false);
    assert.equal(removed.code, 0, removed.stderr);
    assert.match(removed.stdout, /^- delete hello\/one-pr-7/m);
    assert.match(twice.stderr, /nothing to remove/);
    assert.equal(await plane.client.deployments.findByName("hello", "one-pr-7"), undefined);
    assert.deepEqual(await plane.client.deployments.findByName("hello", "one"), before);
  });

  test("only an environment pr-<number> is a preview, and only a preview is removed whole", async () => {
    const deploy = await cli("deploy --environment staging --preview");
    const remove = await cli("release remove --environment production");

    assert.match(deploy.stderr, /\[USAGE\]/);
    assert.match(remove.stderr, /only previews are removed whole.*\[USAGE\]/s);
    assert.notEqual(await plane.client.deployments.findByName("hello", "one"), undefined);
  });

  test("a plan runs no step that has effects, and says what it could not know", async () => {
    const text = `build:\n- prefect.deployments.steps.run_shell_script: {id: say, script: touch built}\n${writeProject(one(', description: "{{ say.stdout }}"'))}`;
    await commit(text);

    const plan = await cli("plan");

    assert.match(plan.stderr, /does not run run_shell_script/);
    assert.match(plan.stdout, /<known-after-run_shell_script>/);
    await assert.rejects(run("ls", [join(folder, "built")]));
  });

  test("a plain deploy goes on doing what Prefect's does: no release, nothing pruned", async () => {
    await commit(writeProject(one(", tags: [plain]")));
    const before = await json(z.array(Release), "release ls");

    const { code } = await cli("deploy -n one");

    assert.equal(code, 0);
    assert.equal((await json(z.array(Release), "release ls")).length, before.length);
  });
});
