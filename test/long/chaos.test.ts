import { loadMachine } from "../../scripts/setup/machine.ts";
import { describeChaos } from "../system/chaos/describe-chaos.ts";
import { missingPart } from "../system/worker-kill/stage.ts";

const machine = await loadMachine();
const MOMENTS = 100;

describeChaos("docker", { machine, skip: missingPart(machine.docker, machine.baseImage), moments: MOMENTS, seed: 11 });
describeChaos("process", { machine, skip: false, moments: MOMENTS, seed: 12 });
