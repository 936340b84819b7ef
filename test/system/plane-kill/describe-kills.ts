import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { findFreePort } from "../../../scripts/setup/free-port.ts";
import { TestProcess } from "../../support/child-process.ts";
import { flowyard, plainEnvironment } from "../../support/plane-process.ts";
import { createBlankDatabase } from "../../support/test-database.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { type KnownRun, LoadClient } from "./load-client.ts";

const CLIENTS = 6;
/** After the first answer. */
const EARLIEST_KILL_MS = 0;
const LATEST_KILL_MS = 1200;

const Id = z.object({ id: z.string() });
const Run = z.object({ state_id: z.string(), state_type: z.string(), run_count: z.number(), state: Id });
const Ids = z.array(Id);
const Events = z.object({ events: z.array(Id) });
const Logs = z.array(z.object({ message: z.string() }));
const Schedules = z.array(z.object({ slug: z.string() }));

/** A number in [0, 1) that is always the same for a seed. mulberry32. */
function drawOnce(seed: number): number {
  let mixed = Math.imul(seed + 0x6d2b79f5, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

/** A plane under load on that database is killed, once for each seed, and held to what it had answered. */
export function describeKills(database: "SQLite" | "PostgreSQL", seeds: readonly number[]): void {
  describe(`a plane on ${database} that is killed with SIGKILL under load`, () => {
    const cleanUp = new AsyncDisposableStack();
    let location: string;
    let folder: string;
    let port: number;
    let apiUrl: string;
    let plane: TestProcess;
    let deploymentId: string;

    const arguments_ = () => ["server", "start", "--port", String(port), "--database", location];

    async function start(): Promise<void> {
      plane = new TestProcess(flowyard, arguments_(), { cwd: folder, env: plainEnvironment(folder) });
      await waitUntil(
        async () => {
          assert.equal(plane.child.exitCode, null, plane.output);
          return fetch(`${apiUrl}/ready`).then(
            (answer) => answer.ok,
            () => false,
          );
        },
        { timeoutMs: 60_000, what: "the plane", evidence: () => plane.output, pollMs: 20 },
      );
    }

    async function kill(): Promise<void> {
      plane.child.kill("SIGKILL");
      await plane.finish(10_000);
    }

    async function ask<T extends z.ZodType>(schema: T, path: string, body?: unknown): Promise<z.infer<T>> {
      const answer = await fetch(`${apiUrl}${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      assert.ok(answer.ok, `${path} answered ${answer.status}: ${text}`);
      return schema.parse(JSON.parse(text));
    }

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), "flowyard-kill-"));
      location = database === "SQLite" ? join(folder, "plane.sqlite") : cleanUp.use(await createBlankDatabase()).url;
      port = await findFreePort();
      apiUrl = `http://127.0.0.1:${port}/api`;
      await start();
      const flow = await ask(Id, "/flows/", { name: "f" });
      deploymentId = (await ask(Id, "/deployments/", { name: "d", flow_id: flow.id })).id;
    });

    after(async () => {
      await plane.stop();
      await cleanUp.disposeAsync();
      await rm(folder, { recursive: true, force: true });
    });

    /** Every acknowledged state is there, in order, with its event; at most the open one came on top. */
    async function checkStates(run: KnownRun): Promise<void> {
      const stored = await ask(Run, `/flow_runs/${run.id}`);
      const states = (await ask(Ids, `/flow_run_states?flow_run_id=${run.id}`)).map(({ id }) => id);
      const filter = { resource: { id: [`prefect.flow-run.${run.id}`] } };
      const { events } = await ask(Events, "/events/filter", { filter, limit: 50 });

      const added = states.length - run.stateIds.length;
      assert.deepEqual(states.slice(0, run.stateIds.length), run.stateIds);
      assert.ok(added === 0 || (added === 1 && run.open !== null), `${added} states more than were answered`);
      assert.equal(stored.state_type, added === 0 ? run.stateType : run.open);
      assert.equal(stored.state_id, states.at(-1));
      assert.equal(stored.state.id, states.at(-1));
      assert.equal(stored.run_count, ["SCHEDULED", "PENDING"].includes(stored.state_type) ? 0 : 1);
      assert.deepEqual(events.map(({ id }) => id).sort(), states.toSorted());
    }

    /** A batch of lines is there as a whole or not at all. */
    async function checkLogs(run: KnownRun): Promise<void> {
      const logs = await ask(Logs, "/logs/filter", { logs: { flow_run_id: { any_: [run.id] } } });
      for (const { mark, lines, acknowledged } of run.logBatches) {
        const found = logs.filter(({ message }) => message === mark).length;
        assert.ok(found === lines || (found === 0 && !acknowledged), `${found} of ${lines} lines of ${mark}`);
      }
    }

    async function checkSchedules(name: string, { schedules: { kept, open } }: LoadClient): Promise<void> {
      if (kept.length === 0) {
        return;
      }
      const { id } = await ask(Id, `/deployments/name/f/${name}`);
      const slugs = (await ask(Schedules, `/deployments/${id}/schedules`)).map(({ slug }) => slug).sort();
      assert.ok(
        [kept, open].some((one) => JSON.stringify(one) === JSON.stringify(slugs)),
        `${name} has ${slugs}`,
      );
    }

    for (const seed of seeds) {
      test(`has all that it had answered, and no half of anything (seed ${seed})`, async () => {
        const names = Array.from({ length: CLIENTS }, (_, index) => `client-${seed}-${index}`);
        const clients = names.map((name) => new LoadClient(apiUrl, deploymentId, name));
        const working = clients.map((client) => client.work());
        const killAfterMs = EARLIEST_KILL_MS + drawOnce(seed) * (LATEST_KILL_MS - EARLIEST_KILL_MS);
        const isWorking = async () => clients.some(({ runs }) => runs.length > 0);
        await waitUntil(isWorking, { timeoutMs: 60_000, what: "a first run", pollMs: 10 });
        await Promise.race([new Promise((resolve) => setTimeout(resolve, killAfterMs)), Promise.all(working)]);

        await kill();
        await Promise.all(working);
        await start();

        const runs = clients.flatMap((client) => client.runs);
        assert.ok(runs.length > 0, "nothing was acknowledged before the kill");
        for (const run of runs) {
          await checkStates(run);
          await checkLogs(run);
        }
        for (const [index, client] of clients.entries()) {
          await checkSchedules(names[index] ?? "", client);
        }
      });
    }
  });
}
