import type { Problem } from "../project/problem.ts";
import { buildBodies, type ReadyDeployment } from "./build-bodies.ts";
import { type PreparedProject, refuseProblems } from "./prepare-project.ts";
import type { RunSteps } from "./run-all-steps.ts";
import { listPins } from "./run-steps.ts";

/** Fills what the steps gave into every deployment. Throws what is wrong with them, all of it. */
export async function buildReady(
  { request, prepared, triggerFlags, findVersion }: PreparedProject,
  { outputs }: RunSteps,
): Promise<ReadyDeployment[]> {
  const ready: ReadyDeployment[] = [];
  const problems: Problem[] = [];
  for (const [index, each] of prepared.entries()) {
    const own = outputs[index] ?? { values: {}, images: [] };
    const built = await buildBodies(each, {
      env: request.env,
      findVersion,
      now: (request.now ?? (() => new Date()))(),
      outputs: own.values,
      pins: listPins(own),
      triggerFlags,
      warn: request.output.warn,
    });
    problems.push(...built.problems);
    ready.push(...(built.ready === undefined ? [] : [built.ready]));
  }
  refuseProblems(problems);
  return ready;
}
