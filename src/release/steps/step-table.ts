import { BUILD_IMAGE_STEP } from "../../project/actions.ts";
import { buildDockerImage } from "./build-docker-image.ts";
import { gitClone } from "./git-clone.ts";
import { pipInstallRequirements } from "./pip-install-requirements.ts";
import { pushDockerImage } from "./push-docker-image.ts";
import { runShellScript } from "./run-shell-script.ts";
import { setWorkingDirectory } from "./set-working-directory.ts";
import type { Step } from "./step.ts";

export const PUSH_IMAGE_STEP = "prefect_docker.deployments.steps.push_docker_image";

/** By the path under which `prefect.yaml` names them. */
export type StepTable = Readonly<Record<string, Step>>;

export const STEPS: StepTable = {
  "prefect.deployments.steps.run_shell_script": runShellScript,
  "prefect.deployments.steps.set_working_directory": setWorkingDirectory,
  "prefect.deployments.steps.pip_install_requirements": pipInstallRequirements,
  "prefect.deployments.steps.git_clone": gitClone,
  [BUILD_IMAGE_STEP]: buildDockerImage,
  [PUSH_IMAGE_STEP]: pushDockerImage,
};

/** Where the functions live or lived beside their documented path. */
const FORWARDED = [
  /^prefect\.deployments\.steps\.(?:utility|pull)\./,
  /^prefect\.projects\.steps\.(?:(?:utility|pull)\.)?/,
] as const;

/** The path that the table knows for one that Prefect forwards. */
export function normalizeStepPath(path: string): string {
  if (path.startsWith("prefect_docker.projects.steps.")) {
    return path.replace(".projects.", ".deployments.");
  }
  return FORWARDED.reduce((result, prefix) => result.replace(prefix, "prefect.deployments.steps."), path);
}
