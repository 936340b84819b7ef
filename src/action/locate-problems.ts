import type { CheckAnnotation } from "../github/checks.ts";

/** How src/project/problem.ts writes a problem that has a place: `prefect.yaml:5:12: warning: what`. */
const PLACE = /^([^\s:][^:\n]*):(\d+):(\d+): (warning: )?(.+)$/;

/** The problems that a message tells with their places, for annotations on those lines; paths from the repository's root. */
export function locateProblems(message: string, projectPath: string): CheckAnnotation[] {
  return message.split("\n").flatMap((line) => {
    const [, file, lineNumber, column, warning, text] = PLACE.exec(line) ?? [];
    if (file === undefined || text === undefined) {
      return [];
    }
    return [
      {
        message: text,
        severity: warning === undefined ? ("error" as const) : ("warning" as const),
        location: {
          file: projectPath === "." ? file : `${projectPath}/${file}`,
          line: Number(lineNumber),
          column: Number(column),
        },
      },
    ];
  });
}
