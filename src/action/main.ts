import { resolve } from "node:path";
import { buildStepEnvironment, parseActionConfig, readEnvironment } from "./config.ts";
import { createGitHubFinder } from "./connect-github.ts";
import { buildErrorEnding } from "./error-ending.ts";
import { type Ending, failsStep, finish } from "./finish.ts";
import { parseInputs, readInputs, SECRET_INPUTS } from "./inputs.ts";
import type { Outputs } from "./outputs.ts";
import { report } from "./report.ts";
import { runStep } from "./run-step.ts";
import { createRunner, type Runner } from "./runner.ts";
import type { Step } from "./step.ts";
import { createStory } from "./story.ts";

const PROCESS_STARTED_MS = 0; // of performance.now(), which counts from there
/** The runner sends SIGINT, 7.5 s later SIGTERM, and kills 2.5 s after that: the rest is for the reports. */
const CUT_OFF_AFTER_MS = 4000;

async function main(): Promise<void> {
  const stop = new AbortController();
  const cutOff = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      stop.abort();
      setTimeout(() => cutOff.abort(), CUT_OFF_AFTER_MS).unref();
    });
  }
  const runner = createRunner();
  const outputs: Outputs = {};
  const story = createStory();
  let step: Step | undefined;
  let ending: Ending;
  try {
    step = setUp(runner, outputs, { signal: stop.signal, cutOff: cutOff.signal });
    ending = await runStep(step, story);
  } catch (error) {
    ending = buildErrorEnding(error, { decision: story.decision?.decision ?? "none", cancelled: stop.signal.aborted });
  }
  if (step !== undefined) {
    await report(step, story, ending).catch((error: unknown) => runner.warning(`The report broke off: ${error}`));
  }
  if (failsStep(ending) && !story.annotations.some(({ severity }) => severity === "error")) {
    runner.error(ending.message, { title: ending.reason_code });
  }
  finish(runner, ending, outputs, PROCESS_STARTED_MS);
}

/** Secrets are masked before anything is parsed that could quote them. */
function setUp(runner: Runner, outputs: Outputs, signals: Pick<Step, "signal" | "cutOff">): Step {
  const environment = readEnvironment();
  const raw = readInputs(environment);
  for (const name of SECRET_INPUTS) {
    runner.mask(raw[name]);
  }
  for (const name of ["PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "GITHUB_TOKEN"]) {
    runner.mask(environment[name]);
  }
  const config = parseActionConfig(environment);
  runner.info(`Flowyard on ${config.GITHUB_EVENT_NAME}`);
  const inputs = parseInputs(raw);
  const findGitHub = createGitHubFinder(config, inputs, runner);
  return {
    runner,
    config,
    inputs,
    workspace: resolve(config.GITHUB_WORKSPACE ?? "."),
    environment: buildStepEnvironment(environment),
    outputs,
    ...signals,
    findGitHub,
  };
}

// The bundle is CommonJS, which knows no await outside of functions.
void main();
