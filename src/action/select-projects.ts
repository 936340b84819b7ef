import { loadProject } from "../project/load.ts";
import { selectEntries } from "../project/select.ts";
import { hasCode, UserError } from "../shared/errors.ts";
import { listProjectFiles, type ProjectFile } from "./project-files.ts";
import type { Step } from "./step.ts";

export interface SelectedProject extends ProjectFile {
  /** Names to select by; empty: all deployments of the file. */
  names: string[];
}

/**
 * The project files that have what was asked for, and what of each. A name means the deployment of that name and never
 * renames the only one of a file, as it does on the command line: a dispatch could make deployments of any name then.
 * Throws UserError DEPLOYMENT_NOT_SELECTED, and what `listProjectFiles` throws.
 */
export async function selectProjects(
  step: Pick<Step, "workspace" | "inputs" | "environment">,
  deployments: readonly string[],
): Promise<SelectedProject[]> {
  const files = await listProjectFiles(step.workspace, step.inputs["prefect-file"]);
  if (deployments.length === 0) {
    return files.map((file) => ({ ...file, names: [] }));
  }
  const found = new Set<string>();
  const selected: SelectedProject[] = [];
  for (const file of files) {
    const project = await loadProject(file.root, file.file);
    const own = deployments.filter((name) => {
      try {
        return (
          selectEntries(project, { ...selectStrictly([name]), canCreate: false }, step.environment).entries.length > 0
        );
      } catch (error) {
        if (hasCode(error, "DEPLOYMENT_NOT_SELECTED")) {
          return false;
        }
        throw error;
      }
    });
    for (const name of own) {
      found.add(name);
    }
    if (own.length > 0) {
      selected.push({ ...file, names: own });
    }
  }
  const missing = deployments.filter((name) => !found.has(name));
  if (missing.length > 0) {
    const where = files.map(({ projectPath, file }) => (projectPath === "." ? file : `${projectPath}/${file}`));
    throw new UserError(
      "DEPLOYMENT_NOT_SELECTED",
      `There is no deployment ${missing.map((name) => JSON.stringify(name)).join(", ")} in ${where.join(", ")}.`,
      { hint: "Name deployments as the file does, or flow/name; * stands for any text." },
    );
  }
  return selected;
}

/** Two names are enough that none of them renames. */
export function selectStrictly(names: readonly string[]): { names: string[]; all: boolean } {
  return { names: [...names, ...names], all: names.length === 0 };
}
