import type { ReleaseScope } from "../flowyard-api/releases.ts";
import { findCheckout } from "../release/checkout.ts";
import { findHead } from "./checkout-commit.ts";
import type { ProjectFile } from "./project-files.ts";
import type { Step } from "./step.ts";

/** What the releases of a project are filed under. */
export async function findScope(step: Step, project: ProjectFile, environment: string): Promise<ReleaseScope> {
  const checkout = await findCheckout(project.root, step.environment);
  // Without git every project would seem to lie at the root, and prune the others' deployments.
  const isInGit = (await findHead(project.root, step.signal)) !== undefined;
  return {
    repository: checkout.repository,
    project_path: isInGit ? checkout.projectPath : project.projectPath,
    environment,
  };
}
