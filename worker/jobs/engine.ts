import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isFalse } from "../logs/output-lines.ts";

/** The job variable `engine`. */
export const EngineChoice = z.enum(["auto", "runner", "direct"]);
type EngineChoice = z.infer<typeof EngineChoice>;

/** `runner`: `prefect flow-run execute`, or the job's own command. */
export type Engine = "runner" | "direct";

/**
 * Steps after which the code is there and nothing else has changed. Others may install packages, and a process that has
 * loaded the old ones does not see them.
 */
const HARMLESS_STEPS = /^prefect(?:_\w+)?\.deployments\.steps\.(?:set_working_directory|git_clone|pull_from_\w+)$/;

/** The engine is run without Prefect's runner where nothing shows the difference. Pure. */
export function decideEngine(job: {
  choice: EngineChoice;
  command: string | undefined;
  pullSteps: readonly unknown[];
  env: Readonly<Record<string, string>>;
}): Engine {
  if (job.command !== undefined) {
    return "runner";
  }
  switch (job.choice) {
    case "runner":
    case "direct":
      return job.choice;
    case "auto":
      return job.pullSteps.every(isHarmless) && !wantsRunner(job.env) ? "direct" : "runner";
  }
}

function isHarmless(step: unknown): boolean {
  if (typeof step !== "object" || step === null) {
    return false;
  }
  return Object.entries(step).every(
    ([name, inputs]) =>
      HARMLESS_STEPS.test(name) && !(typeof inputs === "object" && inputs !== null && "requires" in inputs),
  );
}

/** Settings that only the runner heeds. */
function wantsRunner(env: Readonly<Record<string, string>>): boolean {
  return (
    !isFalse(env["PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES"] ?? "false") ||
    env["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] !== undefined
  );
}

const LAUNCHER = readFileSync(join(import.meta.dirname, "launch-engine.py"), "utf8");

/** In an image: its first Python that is there; without any, what the runner does. */
const IN_IMAGE = `for python in python python3; do
  command -v "$python" >/dev/null 2>&1 && exec "$python" -c "$0"
done
exec prefect flow-run execute`;

export const DIRECT_IN_IMAGE: readonly string[] = ["sh", "-c", IN_IMAGE, LAUNCHER];

export function buildDirectCommand(python: string): string[] {
  return [python, "-c", LAUNCHER];
}

/** What `launch-engine.py` takes for "cancel the flow": a real-time signal that nothing else uses. */
export const CANCEL_SIGNAL = 39;
