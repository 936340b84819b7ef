import { loadMachine } from "../../scripts/setup/machine.ts";
import { describeChaos } from "../system/chaos/describe-chaos.ts";
import { CLOCK_STRIKES, STRIKES } from "../system/chaos/strikes.ts";
import { missingPart } from "../system/worker-kill/stage.ts";

const machine = await loadMachine();
const MOMENTS = 100;

const strikes = [...STRIKES, ...CLOCK_STRIKES];
const skip = missingPart(machine.docker, machine.baseImage);

describeChaos("docker", { machine, skip, moments: MOMENTS, seed: 11, strikes });
describeChaos("process", { machine, skip: false, moments: MOMENTS, seed: 12, strikes });
