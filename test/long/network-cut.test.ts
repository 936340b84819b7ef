import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { STARTED_CLAIM_SECONDS } from "../../src/orchestration/claims/claim-rules.ts";
import { waitUntil } from "../support/wait-until.ts";
import { ChaosStage } from "../system/chaos/chaos-stage.ts";
import { missingNetwork, OwnNetwork } from "../system/chaos/own-network.ts";

const machine = await loadMachine();
const CUT_SECONDS = STARTED_CLAIM_SECONDS + 20;
const LINES = 12;
const GIVEN_UP = /'inside', which ran this flow run, has not been heard of for 300 s/;

describe("a network that is cut until the plane gives up what runs behind it", { skip: await missingNetwork() }, () => {
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

  test("frees the slots for others, stores what was printed, stops what still runs, and doubles nothing", async () => {
    const { stage } = chaos;
    const inside = await stage.startWorker({ PREFECT_API_URL: chaos.proxy.apiUrl }, "--name", "inside");
    const gate = join(stage.folder, "gate");
    const ending = await chaos.createRun({ deployment: "narrow", lines: LINES, end: "COMPLETED" }, { seconds: 4 });
    const running = await chaos.createRun(
      { deployment: "narrow", lines: LINES, end: "COMPLETED" },
      { seconds: 4, gate },
    );
    const countNotes = async (kind: string) => (await chaos.readWitness()).filter(({ what }) => what === kind).length;
    await waitUntil(async () => (await countNotes("begin")) === 2, { timeoutMs: 20_000, what: "both flows" });

    await network.cut();
    const cutUntil = performance.now() + CUT_SECONDS * 1000;
    for (const { id } of [ending, running]) {
      const run = await stage.waitForState(id, "CRASHED", (CUT_SECONDS + 30) * 1000);
      assert.match(run.state?.message ?? "", GIVEN_UP);
    }
    // A machine of its own: it has neither the folder nor the relay of the one behind the cut.
    stage.through = [];
    await mkdir(join(stage.folder, "elsewhere"));
    await stage.startWorker({ FLOWYARD_HOME: join(stage.folder, "elsewhere") }, "--name", "outside");
    const other = await chaos.createRun({ deployment: "narrow", lines: 1, end: "COMPLETED" }, { seconds: 0 });
    await stage.waitForState(other.id, "COMPLETED");
    await new Promise((resolve) => setTimeout(resolve, cutUntil - performance.now()));
    await network.mend();

    await waitUntil(async () => (await stage.listEngines()).length === 0, {
      timeoutMs: 90_000,
      what: "the end of what was given up",
      evidence: () => inside.stderr,
    });
    const printed = Array.from({ length: LINES }, (_, number) => `line ${number}`);
    for (const [{ id }, expected] of [
      [ending, [...printed, "the end"]],
      [running, printed],
    ] as const) {
      await waitUntil(async () => (await stage.listOutput(id)).length >= expected.length, {
        timeoutMs: 90_000,
        what: `the lines of ${id}`,
        evidence: () => inside.stderr,
      });
      assert.deepEqual((await stage.listOutput(id)).toSorted(), expected.toSorted());
      const run = await stage.client.flowRuns.get(id);
      assert.deepEqual([run.state_type, run.run_count], ["CRASHED", 1]);
    }
    assert.equal(await countNotes("begin"), 3);
  });
});
