import { UserError } from "../shared/errors.ts";
import { locateProblems } from "./locate-problems.ts";
import type { ProjectFile } from "./project-files.ts";
import type { Story } from "./story.ts";

/** Runs the work on a project; what is wrong in its files is annotated there before the error goes on. */
export async function blameProject<T>(story: Story, project: ProjectFile, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UserError) {
      const { projectPath } = project;
      const located = locateProblems(error.message, projectPath);
      story.annotations.push(...located);
      if (located.length === 0 && error.location !== undefined) {
        const file = projectPath === "." ? error.location.file : `${projectPath}/${error.location.file}`;
        story.annotations.push({ message: error.message, severity: "error", location: { ...error.location, file } });
      }
    }
    throw error;
  }
}
