import { loadProject } from "../../project/load.ts";
import { isDeploymentSaved, saveDeployment } from "../../project/save.ts";
import type { DeployedDeployment, DeployRequest } from "../../release/request.ts";
import { askYesNo } from "../ask.ts";
import type { CliContext } from "../context.ts";

/** The wizard's last question; not asked for a deployment that the file has already. */
export async function offerToSave(
  context: CliContext,
  { root, projectFile }: DeployRequest,
  deployed: DeployedDeployment,
): Promise<void> {
  const project = await loadProject(root, projectFile);
  const { name, save } = deployed;
  if (isDeploymentSaved(project, name, save.entry.entrypoint ?? "")) {
    return;
  }
  const question = "Would you like to save configuration for this deployment for faster deployments in the future?";
  if (!(await askYesNo(question, true))) {
    return;
  }
  const outcome = await saveDeployment(root, projectFile, save);
  context.output.success(`${outcome === "created" ? "Wrote" : "Added the deployment to"} ${projectFile}.`);
  context.output.say(`Deploy it again with: flowyard deploy --name ${name}`);
}
