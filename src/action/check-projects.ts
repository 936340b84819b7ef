import { loadProject, type Project } from "../project/load.ts";
import { describeProblem } from "../project/problem.ts";
import { inspectFlow } from "../project/python/inspect-flow.ts";
import { selectEntries } from "../project/select.ts";
import { errorMessage, UserError } from "../shared/errors.ts";
import type { Ending } from "./finish.ts";
import { locateProblems } from "./locate-problems.ts";
import { showPlace } from "./project-files.ts";
import { type SelectedProject, selectProjects, selectStrictly } from "./select-projects.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";

/**
 * All that can be told of a project without the server and without running anything of it: for pull requests of people
 * who may not write to the repository. Throws UserError PROJECT_FILE_INVALID, PROJECT_FILE_MISSING and the like.
 */
export async function checkProjects(step: Step, story: Story, deployments: readonly string[]): Promise<Ending> {
  story.unknowns.push(
    "What the server has, and so what would change: runs for forks and for Dependabot get no credentials.",
    "Whether the images build: nobody else's code is run.",
  );
  const problems: string[] = [];
  for (const file of await selectProjects(step, deployments)) {
    const { names, errors } = await checkProject(file, step, story);
    story.projects.push({ ...file, plan: undefined, images: [], release: undefined, deployments: {}, names });
    problems.push(...errors);
  }
  if (problems.length > 0) {
    throw new UserError("PROJECT_FILE_INVALID", `The project would not deploy:\n\n${problems.join("\n\n")}`);
  }
  const count = story.projects.reduce((sum, { names }) => sum + names.length, 0);
  return {
    decision: "plan",
    reason_code: "PLANNED_WITHOUT_SERVER",
    message: `${count} ${count === 1 ? "deployment is" : "deployments are"} well-formed; the server was not asked.`,
    next_step: "After the merge the push plans and deploys it.",
  };
}

async function checkProject(
  { root, file, projectPath, names: wanted }: SelectedProject,
  step: Step,
  story: Story,
): Promise<{ names: string[]; errors: string[] }> {
  const project = await loadProject(root, file);
  if (!project.exists) {
    throw new UserError("PROJECT_FILE_MISSING", `The checkout has no ${showPlace({ projectPath, file })}.`);
  }
  const errors: string[] = [];
  for (const problem of [...project.problems, ...project.entries.flatMap((entry) => entry.problems)]) {
    const text = describeProblem(problem);
    story.annotations.push(...locateProblems(text, projectPath));
    errors.push(...(problem.severity === "error" ? [text] : []));
  }
  const names: string[] = [];
  for (const { entry, label, entrypoint } of select(project, wanted, step)) {
    if (entry === undefined || entrypoint === undefined) {
      continue;
    }
    try {
      const flow = await inspectFlow({ root, entrypoint });
      names.push(`${flow.name}/${entry.name ?? label}`);
    } catch (error) {
      if (!(error instanceof UserError)) {
        throw error;
      }
      errors.push(errorMessage(error));
      if (error.location !== undefined) {
        const location = { ...error.location, file: joinPath(projectPath, error.location.file) };
        story.annotations.push({ message: error.message, severity: "error", location });
      }
    }
  }
  return { names, errors };
}

function select(project: Project, names: readonly string[], step: Step): Project["entries"] {
  return selectEntries(project, { ...selectStrictly(names), canCreate: false }, step.environment).entries;
}

function joinPath(projectPath: string, file: string): string {
  return projectPath === "." ? file : `${projectPath}/${file}`;
}
