import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { type Finished, runToEnd, TestProcess } from "../support/child-process.ts";
import { type PlaneProcess, plainEnvironment, startPlane } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const machine = await loadMachine();
const SCRIPTS = join(import.meta.dirname, "concurrency");
const TIMEOUT_MS = 240_000;
const Limit = z.object({ active_slots: z.number(), limit: z.number(), active: z.boolean() });
const Answer = z.object({
  id: z.string().optional(),
  status: z.string().optional(),
  state: z.object({ name: z.string() }).nullish(),
});
const Run = z
  .object({
    state_type: z.string(),
    next_scheduled_start_time: z.string().nullable(),
    estimated_run_time: z.number(),
  })
  .transform(({ estimated_run_time: total, ...run }) => ({ ...run, total }));

// Together: most of their time they wait for the end of a lease, which no client can have shorter than a minute.
describe("limits", { concurrency: true }, () => {
  for (const [version, part] of [
    ["3.9.1", machine.prefect],
    ["3.8.8", machine.oldestPrefect],
  ] as const) {
    describe(`limits with Prefect ${version}`, {
      concurrency: true,
      skip: part.available ? false : part.reason,
    }, () => {
      let plane: PlaneProcess;

      before(async () => {
        plane = await startPlane();
      });
      after(() => plane[Symbol.asyncDispose]());

      function environment(): Record<string, string> {
        return plainEnvironment(plane.folder, {
          PREFECT_HOME: join(plane.folder, "prefect"),
          PREFECT_API_URL: plane.apiUrl,
          PREFECT_LOGGING_LEVEL: "ERROR",
          COLUMNS: "200",
          PREFECT_SERVER_ANALYTICS_ENABLED: "false",
        });
      }

      function prefectPath(name: string): string {
        assert.ok(part.available);
        return join(dirname(part.prefect), name);
      }

      async function python(script: string): Promise<string> {
        const options = { cwd: plane.folder, env: environment(), timeoutMs: TIMEOUT_MS };
        const finished = await runToEnd(prefectPath("python"), [join(SCRIPTS, script)], options);
        assert.equal(finished.code, 0, finished.stdout + finished.stderr);
        return finished.stdout;
      }

      async function cli(...args: string[]): Promise<Finished> {
        const options = { cwd: plane.folder, env: environment(), timeoutMs: TIMEOUT_MS };
        const finished = await runToEnd(prefectPath("prefect"), ["--no-prompt", ...args], options);
        assert.equal(finished.code, 0, `${args.join(" ")}\n${finished.stdout}${finished.stderr}`);
        return finished;
      }

      async function readRun(id: string | undefined): Promise<z.infer<typeof Run>> {
        return Run.parse(await (await fetch(`${plane.apiUrl}/flow_runs/${id}`)).json());
      }

      async function readLimit(name: string): Promise<z.infer<typeof Limit>> {
        const answer = await fetch(`${plane.apiUrl}/v2/concurrency_limits/${name}`);
        return Limit.parse(await answer.json());
      }

      test("concurrency() and rate_limit() hold, time out, and tell a limit that is missing", async () => {
        await cli("global-concurrency-limit", "create", "one", "--limit", "1");
        await cli("gcl", "create", "rate", "--limit", "1", "--slot-decay-per-second", "1");

        const output = await python("global_limits.py");

        for (const line of [
          "most 1",
          "timeout yes",
          "strict ConcurrencySlotAcquisitionError",
          "lenient yes",
          "rate True",
        ]) {
          assert.ok(output.includes(line), output);
        }
        assert.equal((await readLimit("one")).active_slots, 0);
      });

      test("a slot is held for longer than its lease, which the client renews", async () => {
        await cli("gcl", "create", "long", "--limit", "1");
        const holder = new TestProcess(prefectPath("python"), [join(SCRIPTS, "lease.py")], {
          cwd: plane.folder,
          env: environment(),
        });
        await waitUntil(async () => holder.stdout.includes("held"), {
          timeoutMs: TIMEOUT_MS,
          what: "the slot",
          evidence: () => holder.output,
        });
        const heldAt = Date.now();
        await waitUntil(async () => Date.now() - heldAt > 62_000, {
          timeoutMs: 70_000,
          what: "the end of the first lease",
        });
        assert.equal((await readLimit("long")).active_slots, 1);
        const finished = await holder.finish(60_000);

        assert.deepEqual([finished.code, (await readLimit("long")).active_slots], [0, 0], holder.output);
      });

      test("an engine keeps its deployment's slot for longer than its lease, and hands it on at its end", async () => {
        const post = async (path: string, body: unknown) => {
          const answer = await fetch(`${plane.apiUrl}${path}`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body),
          });
          return Answer.parse(await answer.json());
        };
        const flow = await post("/flows/", { name: "slow" });
        const deployment = await post("/deployments/", {
          name: "slow",
          flow_id: flow.id,
          path: SCRIPTS,
          entrypoint: "slow_flow.py:slow",
          concurrency_limit: 1,
          concurrency_options: { collision_strategy: "ENQUEUE", grace_period_seconds: 60 },
        });
        const first = await post(`/deployments/${deployment.id}/create_flow_run`, {});
        const second = await post(`/deployments/${deployment.id}/create_flow_run`, {});
        const take = (id: string | undefined) => post(`/flow_runs/${id}/set_state`, { state: { type: "PENDING" } });
        assert.equal((await take(first.id)).status, "ACCEPT");
        const engine = new TestProcess(prefectPath("prefect"), ["flow-run", "execute", first.id ?? ""], {
          cwd: plane.folder,
          env: environment(),
        });
        const isLate = async () => (await readRun(first.id)).total > 62;
        await waitUntil(isLate, { timeoutMs: TIMEOUT_MS, what: "the lease's end", evidence: () => engine.output });
        const refused = await take(second.id);
        await engine.finish(TIMEOUT_MS);

        assert.deepEqual([refused.status, refused.state?.name], ["REJECT", "AwaitingConcurrencySlot"]);
        assert.equal((await readRun(first.id)).state_type, "COMPLETED", engine.output);
        assert.ok(Date.parse((await readRun(second.id)).next_scheduled_start_time ?? "") <= Date.now());
        assert.equal((await take(second.id)).status, "ACCEPT");
      });

      test("tagged tasks of a flow hold to the limit of their tag", async () => {
        await cli("concurrency-limit", "create", "db", "2");

        const output = await python("tagged_tasks.py");

        assert.ok(output.includes("most 2"), output);
        assert.equal((await readLimit("tag:db")).active_slots, 0);
      });

      test("the commands of limits work", async () => {
        await cli("concurrency-limit", "create", "api", "3");
        assert.match((await cli("concurrency-limit", "ls")).stdout, /api/);
        assert.match((await cli("concurrency-limit", "inspect", "api")).stdout, /api/);
        await cli("concurrency-limit", "reset", "api");
        await cli("concurrency-limit", "delete", "api");
        await cli("gcl", "create", "other", "--limit", "3", "--active-slots", "2");
        await cli("gcl", "update", "other", "--limit", "5", "--active-slots", "1");
        await cli("gcl", "disable", "other");
        assert.deepEqual(await readLimit("other"), { active: false, limit: 5, active_slots: 1 });
        assert.match((await cli("gcl", "ls")).stdout, /other/);
        assert.match((await cli("gcl", "inspect", "other")).stdout, /other/);
        await cli("gcl", "delete", "other");
      });
    });
  }
});
