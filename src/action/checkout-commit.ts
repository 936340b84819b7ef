import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { UserError } from "../shared/errors.ts";

const GIT_TIMEOUT_MS = 10_000;

/** The commit that is checked out; undefined when git cannot tell. */
export async function findHead(workspace: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    // A container's workspace belongs to another user, which git distrusts unless told.
    const args = ["-c", `safe.directory=${workspace}`, "rev-parse", "HEAD"];
    const { stdout } = await promisify(execFile)("git", args, { cwd: workspace, timeout: GIT_TIMEOUT_MS, signal });
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Throws UserError COMMIT_MISMATCH when another commit is checked out than the one that was asked for. */
export async function checkCommit(
  workspace: string,
  { expected, ofEvent }: { expected: string; ofEvent: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const head = (await findHead(workspace, signal)) ?? ofEvent;
  if (head !== expected) {
    throw new UserError(
      "COMMIT_MISMATCH",
      `The commit ${expected} was asked for, and ${head ?? "none that could be told"} is checked out.`,
      { hint: "Give the step of actions/checkout its ref: the commit that the event names." },
    );
  }
}
