import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Machine } from "../../../scripts/setup/machine.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { ChaosStage } from "./chaos-stage.ts";
import { takeStock } from "./check.ts";
import { buildReport, describeVerdict } from "./evidence.ts";
import { OwnNetwork } from "./own-network.ts";

const OVER_BEFORE_MS = 20_000;

/** Workers and their runs behind a cable that is pulled while runs end, run and are waited for. */
export function describeNetworkCut(machine: Machine, seconds: number, skip: string | false): void {
  describe(`a network between workers and plane that is cut for ${seconds} s`, { skip, concurrency: false }, () => {
    let network: OwnNetwork;
    let chaos: ChaosStage;
    before(async () => {
      network = await OwnNetwork.start();
      chaos = await ChaosStage.open("process", machine, { network });
    });
    after(async () => {
      await chaos?.close();
      await network?.remove();
    });

    test("runs end as they would have, once, with all their lines, and those that waited run afterwards", async () => {
      const { stage } = chaos;
      const workers = [await stage.startWorker({ PREFECT_API_URL: chaos.proxy.apiUrl }, "--name", "one")];
      workers.push(await stage.startWorker({ PREFECT_API_URL: chaos.proxy.apiUrl }, "--name", "two"));
      const ends = ["COMPLETED", "FAILED", "3"];
      for (const end of ends) {
        await chaos.createRun({ deployment: "free", lines: 20, end }, { seconds: 3 });
      }
      const through = await chaos.createRun(
        { deployment: "free", lines: 2 * seconds, end: "COMPLETED" },
        { seconds: seconds + 10 },
      );
      const countNotes = async (kind: string) => (await chaos.readWitness()).filter(({ what }) => what === kind).length;
      await waitUntil(async () => (await countNotes("begin")) === ends.length + 1, {
        timeoutMs: OVER_BEFORE_MS,
        what: "all flows",
        evidence: () => workers.map(({ output }) => output).join("\n"),
      });

      await network.cut();
      const cutAt = performance.now();
      const later = [
        await chaos.createRun({ deployment: "narrow", lines: 3, end: "COMPLETED" }),
        await chaos.createRun({ deployment: "free", lines: 3, end: "3" }),
      ];
      await waitUntil(async () => (await countNotes("end")) === ends.length, {
        timeoutMs: OVER_BEFORE_MS,
        what: "the ends of flows behind the cut",
      });
      const rest = seconds * 1000 - (performance.now() - cutAt);
      await new Promise((resolve) => setTimeout(resolve, rest));
      for (const { id } of chaos.runs) {
        const known = (await stage.client.flowRuns.get(id)).state_type;
        const isLater = later.some((run) => run.id === id);
        assert.ok(
          known === (isLater ? "SCHEDULED" : "RUNNING") || (isLater && known === "PENDING"),
          `${id} is ${known}`,
        );
      }
      await network.mend();
      const mendedAt = performance.now();
      await stage.waitForState(through.id, "COMPLETED", 60_000);

      const { counters, complaints } = await takeStock(chaos);
      const took = Math.round((performance.now() - mendedAt) / 1000);
      const shown = Object.entries(counters).map(([name, count]) => `${name} ${count}`);
      process.stdout.write(`  network cut for ${seconds} s, all is settled ${took} s later: ${shown.join(" · ")}\n`);
      const verdict = describeVerdict(counters, chaos.runs.length);
      const logs = workers.map(({ stderr }) => stderr).join("\n---\n");
      assert.ok(verdict === "", `${await buildReport(chaos, verdict, complaints)}\n${logs}\n${verdict}`);
    });
  });
}
