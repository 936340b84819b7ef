import { describe } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { describeChaos } from "./chaos/describe-chaos.ts";
import { describeStaleWorker } from "./chaos/stale-worker.ts";
import { STRIKES } from "./chaos/strikes.ts";
import { missingPart } from "./worker-kill/stage.ts";

const machine = await loadMachine();

/** Each kind of strike once; test/long has a hundred moments. */
const moments = STRIKES.length;

// Side by side: most of their time is waiting for what was struck to come back.
describe("chaos", { concurrency: true }, () => {
  describeChaos("docker", { machine, skip: missingPart(machine.docker, machine.baseImage), moments, seed: 1 });
  describeChaos("process", { machine, skip: false, moments, seed: 2 });
  describeStaleWorker("docker", machine, missingPart(machine.docker, machine.baseImage));
  describeStaleWorker("process", machine, false);
});
