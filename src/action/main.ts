import { buildStepEnvironment, parseActionConfig, readEnvironment } from "./config.ts";
import { buildErrorEnding } from "./error-ending.ts";
import { type Ending, finish } from "./finish.ts";
import { parseInputs, readInputs, SECRET_INPUTS } from "./inputs.ts";
import type { Outputs } from "./outputs.ts";
import { runStep } from "./run-step.ts";
import { createRunner } from "./runner.ts";

const startedMs = 0; // of performance.now(), which counts from the start of the process
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => stop.abort());
}

async function main(): Promise<void> {
  const runner = createRunner();
  const outputs: Outputs = {};
  let ending: Ending;
  try {
    const environment = readEnvironment();
    const raw = readInputs(environment);
    for (const secret of [...SECRET_INPUTS.map((name) => raw[name])]) {
      runner.mask(secret);
    }
    const config = parseActionConfig(environment);
    runner.mask(config.PREFECT_API_KEY);
    runner.mask(config.PREFECT_API_AUTH_STRING);
    runner.info(`Flowyard on ${config.GITHUB_EVENT_NAME}`);
    ending = await runStep({
      runner,
      config,
      inputs: parseInputs(raw),
      environment: buildStepEnvironment(environment),
      outputs,
      signal: stop.signal,
    });
  } catch (error) {
    ending = buildErrorEnding(error, { decision: "none", cancelled: stop.signal.aborted });
    runner.error(ending.message);
  }
  finish(runner, ending, outputs, startedMs);
}

// The bundle is CommonJS, which knows no await outside of functions.
void main();
