import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FlowyardDaemon, runFlowyard } from "./demo/flowyard-process.ts";
import { findExampleImage, removeLeftovers } from "./demo/leftovers.ts";
import { type DemoPlan, planDemo } from "./demo/plan.ts";
import { lastLines, waitUntil } from "./setup/background-process.ts";
import { findFreePort } from "./setup/free-port.ts";
import { setUpDemoMachine } from "./setup/set-up-machine.ts";

const USAGE = `npm run demo             plane, worker, deploy example/, one run; goes on until Ctrl-C
npm run demo -- --once   the same, ends after the run and cleans up
`;
const DEPLOYMENT = "sales-report/daily";
const PREFERRED_PORT = 4200; // where Prefect's clients look when nothing is configured
const PLANE_TIMEOUT_MS = 20_000;

const { values: flags } = parseArgs({
  options: { once: { type: "boolean", default: false }, help: { type: "boolean", short: "h", default: false } },
});

/** Aborted by Ctrl-C; whatever is running then is stopped in order. */
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => interrupted.abort());
}

process.exitCode = flags.help ? printUsage() : await main();

function printUsage(): number {
  process.stdout.write(USAGE);
  return 0;
}

async function main(): Promise<number> {
  const machine = await setUpDemoMachine();
  const folder = await mkdtemp(join(tmpdir(), "flowyard-demo-"));
  const daemons: FlowyardDaemon[] = [];
  let plan: DemoPlan | null = null;
  const imageBefore = await findExampleImage(machine);
  try {
    plan = await planDemo(machine, folder);
    if (plan === null) {
      say("There is neither a Docker engine nor a Prefect here; what to do is said above.");
      return 1;
    }
    if (plan.poolType === "process") {
      say(
        "There is no Docker engine here (see above), so flow runs are processes of this machine instead of containers.",
      );
    }
    return await runDemo(plan, folder, daemons);
  } finally {
    say("\nCleaning up.");
    for (const daemon of daemons.reverse()) {
      await daemon.stop();
    }
    await removeLeftovers(machine, imageBefore);
    await rm(folder, { recursive: true, force: true });
  }
}

async function runDemo(plan: DemoPlan, folder: string, daemons: FlowyardDaemon[]): Promise<number> {
  const port = await findFreePort(PREFERRED_PORT);
  const apiUrl = `http://127.0.0.1:${port}/api`;
  const options = { cwd: plan.project, environment: buildEnvironment(plan, folder, apiUrl) };

  const database = join(folder, "plane.sqlite");
  const plane = ["server", "start", "--port", String(port), "--database", database];
  daemons.push(await FlowyardDaemon.start("plane", plane, { ...options, logFile: join(folder, "plane.log") }));
  if (!(await waitForPlane(apiUrl, daemons))) {
    return explainEnd(daemons);
  }
  if ((await runFlowyard(["work-pool", "create", "--type", plan.poolType, plan.poolName], options)) !== 0) {
    return explainEnd(daemons);
  }
  const worker = ["worker", "start", "--pool", plan.poolName, "--name", "demo-worker"];
  daemons.push(await FlowyardDaemon.start("worker", worker, { ...options, logFile: join(folder, "worker.log") }));
  for (const command of [
    ["deploy", "--all"],
    ["deployment", "run", DEPLOYMENT, "--watch"],
  ]) {
    const code = interrupted.signal.aborted ? 130 : await runFlowyard(command, options, daemons);
    if (code !== 0) {
      return interrupted.signal.aborted ? 130 : explainEnd(daemons);
    }
  }
  return flags.once ? 0 : await keepRunning(plan, apiUrl, daemons);
}

/** Nothing of the user's own Prefect or Flowyard set-up may lead the demo to another server. */
function buildEnvironment(plan: DemoPlan, folder: string, apiUrl: string): NodeJS.ProcessEnv {
  // biome-ignore lint/style/noProcessEnv: handed on to children, nothing is read from it
  const inherited = Object.entries(process.env).filter(([name]) => !/^(PREFECT|FLOWYARD)_/.test(name));
  return {
    ...Object.fromEntries(inherited),
    ...plan.environment,
    PREFECT_API_URL: apiUrl,
    PREFECT_CLI_PROMPT: "0",
    PREFECT_HOME: join(folder, "prefect"),
    FLOWYARD_HOME: join(folder, "flowyard"),
  };
}

async function waitForPlane(apiUrl: string, daemons: FlowyardDaemon[]): Promise<boolean> {
  const answer = await waitUntil(async () => {
    if (daemons.some((daemon) => !daemon.isRunning) || interrupted.signal.aborted) {
      return "ended";
    }
    const response = await fetch(`${apiUrl}/health`).catch(() => null);
    await response?.body?.cancel();
    return response?.ok === true ? "ready" : null;
  }, PLANE_TIMEOUT_MS);
  return answer === "ready";
}

async function keepRunning(plan: DemoPlan, apiUrl: string, daemons: FlowyardDaemon[]): Promise<number> {
  say(`
The API is at ${apiUrl}; plane and worker go on until Ctrl-C. In another terminal:

  export PREFECT_API_URL=${apiUrl}
  bin/flowyard deployment run ${DEPLOYMENT} --watch
  bin/flowyard deployment run ${DEPLOYMENT} --param days=7 --param region=south --watch
  bin/flowyard deployment run countdown/by-hand      # then: bin/flowyard flow-run cancel ID
  bin/flowyard flow-run ls

Prefect's own \`prefect\` works with the same variable. Logs: ${daemons.map((daemon) => daemon.logFile).join(", ")}
Deployed from ${plan.project}: change a flow there, then \`bin/flowyard deploy --all\` in that folder.`);
  const stopped = new Promise<void>((resolve) => interrupted.signal.addEventListener("abort", () => resolve()));
  await Promise.race([stopped, ...daemons.map((daemon) => daemon.exited)]);
  return interrupted.signal.aborted ? 0 : explainEnd(daemons);
}

/** Shows what the plane and the worker said last, for whoever has to find out. */
async function explainEnd(daemons: FlowyardDaemon[]): Promise<number> {
  if (interrupted.signal.aborted) {
    return 130;
  }
  for (const daemon of daemons) {
    const state = daemon.isRunning ? "" : " ended";
    say(`\nLast lines of the ${daemon.name}, which${state || " is running"}:\n${await lastLines(daemon.logFile, 15)}`);
  }
  return 1;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
