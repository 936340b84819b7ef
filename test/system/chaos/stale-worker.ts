import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Machine } from "../../../scripts/setup/machine.ts";
import { waitUntil } from "../../support/wait-until.ts";
import type { PlaceType } from "../worker-kill/stage.ts";
import { ChaosStage } from "./chaos-stage.ts";
import { takeStock } from "./check.ts";
import { describeVerdict } from "./evidence.ts";

/** A claim that nothing was started for lasts thirty seconds. */
const RETURN_MS = 60_000;

/** A worker that stands still between claim and start, for longer than its claim lasts. */
export function describeStaleWorker(type: PlaceType, machine: Machine, skip: string | false): void {
  describe(`a ${type} worker that stands still for longer than its claim`, { skip, concurrency: false }, () => {
    let chaos: ChaosStage;
    before(async () => {
      chaos = await ChaosStage.open(type, machine);
    });
    after(() => chaos?.close());

    test("loses the run to another one, and does not run it when it goes on", async () => {
      const { proxy, stage } = chaos;
      const stale = await stage.startWorker({ PREFECT_API_URL: proxy.apiUrl }, "--name", "stale");
      let isStopped = false;
      // What a worker says last before it starts something.
      proxy.decide = (_, path) => {
        if (!isStopped && path.includes("/set_state")) {
          isStopped = stale.child.kill("SIGSTOP");
        }
        return "pass";
      };
      const run = await chaos.createRun(
        { deployment: "free", lines: 5, end: "COMPLETED" },
        { gate: `${stage.folder}/gate` },
      );
      await waitUntil(async () => isStopped, { timeoutMs: 20_000, what: "the claim", evidence: () => stale.output });

      await stage.startWorker({}, "--name", "other");
      await stage.waitForState(run.id, "RUNNING", RETURN_MS);
      const asked = proxy.requests.length;
      stale.child.kill("SIGCONT");
      await waitUntil(async () => proxy.requests.slice(asked).some((request) => request.includes("/renew")), {
        timeoutMs: 30_000,
        what: "the renewal of the stale worker",
        evidence: () => stale.output,
      });
      await stage.openGate();

      const { counters, complaints } = await takeStock(chaos);
      const verdict = describeVerdict(counters, chaos.runs.length);
      assert.ok(verdict === "", `${verdict}\n${complaints.join("\n")}\n${stale.stderr}\n${verdict}`);
      const history = await fetch(`${stage.plane.apiUrl}/flow_run_states?flow_run_id=${run.id}`);
      assert.match(await history.text(), /Worker 'stale' took this run and vanished before it started it/);
    });
  });
}
