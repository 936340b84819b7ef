import type { ErrorCode } from "../shared/error-codes.ts";
import type { SourceLocation } from "../shared/errors.ts";

/** Something to say about one place of a file. An error stops the deploy of what it belongs to, a warning does not. */
export interface Problem {
  severity: "error" | "warning";
  /** Left out where the file itself is wrong: PROJECT_FILE_INVALID. */
  code?: ErrorCode;
  message: string;
  /** What to do about it, as one sentence. */
  hint?: string;
  /** Left out for what no file says, such as a flag. */
  location?: SourceLocation;
  /** The lines around the place, with a marker under it; empty for a place without text. */
  frame: string;
}

/** `prefect.yaml:5:12: error: what. hint` and the lines around it. */
export function describeProblem(problem: Problem): string {
  const place = problem.location === undefined ? "" : `${describeLocation(problem.location)}: `;
  const label = problem.severity === "error" ? "" : "warning: ";
  const hint = problem.hint === undefined ? "" : ` ${problem.hint}`;
  const frame = problem.frame === "" ? "" : `\n${problem.frame}`;
  return `${place}${label}${problem.message}${hint}${frame}`;
}

export function describeLocation({ file, line, column }: SourceLocation): string {
  return `${file}:${line}:${column}`;
}

/** In the order of the file; what has no place comes last. */
export function compareProblems(a: Problem, b: Problem): number {
  const lines = (a.location?.line ?? Number.MAX_SAFE_INTEGER) - (b.location?.line ?? Number.MAX_SAFE_INTEGER);
  return lines || (a.location?.column ?? 0) - (b.location?.column ?? 0);
}
