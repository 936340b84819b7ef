import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { waitUntil } from "../support/wait-until.ts";
import { OwnEngine } from "../system/chaos/own-engine.ts";
import { missingPart, Stage } from "../system/worker-kill/stage.ts";

const machine = await loadMachine();
const noRoot = process.getuid?.() === 0 ? false : "starting an own Docker engine needs root";
const skip = missingPart(machine.docker, machine.baseImage) || noRoot;
const LINES = 40;

interface Restart {
  signal: "SIGTERM" | "SIGKILL";
  isLive: boolean;
  /** How a run ends whose container was at work meanwhile. */
  ends: [string, RegExp];
}

// An engine that goes down in order stops its containers first, and says of itself what it says of `docker stop`.
const STOPPED = /was stopped by hand .* with exit code \d+/;
const AWAY = /ended with exit code \d+ while the Docker engine was away: that was restarted, or crashed\./;
const RESTARTS: Restart[] = [
  { signal: "SIGTERM", isLive: true, ends: ["COMPLETED", /^$/] },
  { signal: "SIGKILL", isLive: true, ends: ["COMPLETED", /^$/] },
  { signal: "SIGTERM", isLive: false, ends: ["CRASHED", new RegExp(`${STOPPED.source}|${AWAY.source}`)] },
  { signal: "SIGKILL", isLive: false, ends: ["CRASHED", new RegExp(`${STOPPED.source}|${AWAY.source}`)] },
];

for (const isLive of [true, false]) {
  describe(`an engine ${isLive ? "with" : "without"} live-restore that goes away under runs`, { skip }, () => {
    let engine: OwnEngine;
    let stage: Stage;

    before(async () => {
      assert.ok(machine.docker.available && machine.baseImage.available);
      engine = await OwnEngine.start(isLive ? ["--live-restore"] : []);
      await engine.copyImage(machine.baseImage.tag, machine.docker.host);
      stage = await Stage.open("docker", { ...machine, docker: { ...machine.docker, host: engine.host } });
      await stage.startWorker();
    });
    after(async () => {
      await stage?.close();
      await engine?.remove();
    });

    for (const { signal, ends } of RESTARTS.filter((restart) => restart.isLive === isLive)) {
      test(`${signal}: the run ends ${ends[0]}, what it printed is kept, and what waited runs afterwards`, async () => {
        const gate = `gate-${signal}`;
        const id = await stage.createRun({ lines: LINES, gate });
        await stage.waitForState(id, "RUNNING");
        await waitUntil(async () => (await stage.listOutput(id)).length === LINES, {
          timeoutMs: 20_000,
          what: "its output",
        });

        await engine.stop(signal);
        const later = await stage.createRun({ lines: 1, gate: "later" });
        await new Promise((resolve) => setTimeout(resolve, 5000));
        assert.equal((await stage.client.flowRuns.get(later)).state_type, "SCHEDULED");
        await engine.start();
        await stage.openGate(gate);
        await stage.openGate("later");

        const run = await stage.waitForState(id, ends[0], 60_000);
        assert.match(run.state?.message ?? "", ends[1]);
        await stage.waitForState(later, "COMPLETED", 60_000);
        const lines = await stage.listOutput(id);
        const expected = Array.from({ length: LINES }, (_, number) => `line ${number}`);
        assert.deepEqual(new Set(lines), new Set(ends[0] === "COMPLETED" ? [...expected, "the end"] : expected));
        assert.equal(lines.length, new Set(lines).size);
        assert.equal(run.run_count, 1);
        await waitUntil(async () => (await engine.countContainers()) === 0, {
          timeoutMs: 30_000,
          what: "no container left",
        });
      });
    }
  });
}
