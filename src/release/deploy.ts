import type { ReadyDeployment } from "./build-bodies.ts";
import { buildReady } from "./build-ready.ts";
import { listReleaseImages } from "./images/image-session.ts";
import { prepareProject } from "./prepare-project.ts";
import { registerDeployment } from "./register.ts";
import type { DeployedDeployment, DeployRequest, DeployResult } from "./request.ts";
import { runAllSteps } from "./run-all-steps.ts";

/**
 * Deploys what is selected of a project, request by request as Prefect does: everything is checked first, then all
 * build and push steps run, each distinct image once, then the deployments are registered. Until the last step has
 * succeeded nothing is changed on the server.
 * Throws UserError PROJECT_FILE_MISSING, PROJECT_FILE_INVALID, DEPLOYMENT_NOT_SELECTED, DEPLOYMENT_INVALID,
 * ENTRYPOINT_INVALID, TEMPLATE_UNRESOLVED, STEP_FAILED, USAGE, and what the client and Docker throw.
 */
export async function deploy(given: DeployRequest): Promise<DeployResult> {
  const prepared = await prepareProject(given);
  const steps = await runAllSteps(prepared, { planOnly: false });
  const ready = await buildReady(prepared, steps);
  const deployments = await registerAll(ready, prepared.request);
  return { deployments, images: listReleaseImages(steps.images.images()) };
}

async function registerAll(ready: readonly ReadyDeployment[], request: DeployRequest): Promise<DeployedDeployment[]> {
  const deployed: DeployedDeployment[] = [];
  for (const each of ready) {
    request.signal.throwIfAborted();
    request.output.progress(`Deploying ${each.prepared.flow.name}/${each.name}`);
    try {
      deployed.push(await registerDeployment(each, request));
    } catch (error) {
      if (deployed.length > 0) {
        const names = deployed.map(({ flowName, name }) => `${flowName}/${name}`).join(", ");
        request.output.warn(`Already registered before the failure: ${names}.`);
      }
      throw error;
    }
  }
  return deployed;
}
