import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findFreePort } from "../scripts/setup/free-port.ts";
import { loadMachine } from "../scripts/setup/machine.ts";
import { startProcess } from "./processes.ts";
import { formatTable, type Row } from "./report.ts";

// The same project of 100 deployments, deployed twice: by `flowyard deploy` as a release to our plane, and by
// `prefect deploy --all` to Prefect's server. Then a rollback, which only we have. No image is built.

const DEPLOYMENTS = 100;
const POOL = "bench-pool";
const PATH = "/usr/local/bin:/usr/bin:/bin";

const run = promisify(execFile);
const flowyard = join(import.meta.dirname, "..", "bin", "flowyard");

interface Subject {
  program: string;
  server: readonly string[];
  deploy: readonly string[];
  env: Record<string, string>;
}

interface DeployFigures {
  newMs: number;
  unchangedMs: number;
}

function writeProject(folder: string, stars: number): void {
  const entries = Array.from({ length: DEPLOYMENTS }, (_, index) => [
    `  - name: d${index}`,
    "    entrypoint: flow.py:etl",
    `    work_pool: {name: ${POOL}, job_variables: {image: "etl:1"}}`,
    '    schedules: [{cron: "0 6 * * *"}]',
    `    parameters: {stars: ${stars}}`,
  ]);
  const pull = ["pull:", "  - prefect.deployments.steps.set_working_directory:", "      directory: /opt/etl"];
  writeFileSync(
    join(folder, "prefect.yaml"),
    `${["name: bench", ...pull, "deployments:", ...entries.flat()].join("\n")}\n`,
  );
  writeFileSync(
    join(folder, "flow.py"),
    "from prefect import flow\n\n\n@flow\ndef etl(stars: int = 1):\n    print(stars)\n",
  );
}

async function time(program: string, args: readonly string[], options: { cwd: string; env: Record<string, string> }) {
  const startedAt = performance.now();
  await run(program, args, { ...options, maxBuffer: 64 * 1024 * 1024 });
  return performance.now() - startedAt;
}

/** `after` runs while the server is still there. */
async function measure<T>(
  folder: string,
  subject: Subject,
  after: (options: { cwd: string; env: Record<string, string> }) => Promise<T>,
): Promise<DeployFigures & { after: T }> {
  mkdirSync(folder);
  writeProject(folder, 1);
  const port = await findFreePort();
  const apiUrl = `http://127.0.0.1:${port}/api`;
  const env = { PATH, HOME: folder, PREFECT_API_URL: apiUrl, ...subject.env };
  const server = await startProcess({
    command: subject.program,
    args: [...subject.server, "--port", String(port)],
    env,
    healthUrl: `${apiUrl}/health`,
    timeoutMs: 120_000,
  });
  try {
    const options = { cwd: folder, env };
    await run(subject.program, ["work-pool", "create", "--type", "docker", POOL], options);
    const newMs = await time(subject.program, subject.deploy, options);
    const unchangedMs = await time(subject.program, subject.deploy, options);
    return { newMs, unchangedMs, after: await after(options) };
  } finally {
    await server.stop();
  }
}

function buildRow(name: string, ownMs: number, otherMs: number): Row {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  return {
    name,
    flowyard: seconds(ownMs),
    prefect: seconds(otherMs),
    ratio: `${(otherMs / ownMs).toFixed(0)}x`,
    goal: ">= 20x",
  };
}

const { prefect } = await loadMachine();
if (!prefect.available) {
  throw new Error(`nothing to compare with: ${prefect.reason}; ${prefect.remedy}`);
}
const folder = mkdtempSync(join(tmpdir(), "flowyard-bench-"));
try {
  const own = join(folder, "flowyard");
  const deploy = ["deploy", "--all", "--environment", "production"];
  const ours = await measure(
    own,
    {
      program: flowyard,
      server: ["server", "start", "--database", join(folder, "plane.sqlite")],
      deploy,
      env: { FLOWYARD_HOME: own },
    },
    async (options) => {
      writeProject(own, 2);
      const changedMs = await time(flowyard, deploy, options);
      return { changedMs, rollbackMs: await time(flowyard, ["rollback"], options) };
    },
  );
  const other = join(folder, "prefect");
  const theirs = await measure(
    other,
    {
      program: prefect.prefect,
      server: ["server", "start", "--no-ui"],
      deploy: ["--no-prompt", "deploy", "--all"],
      env: { PREFECT_HOME: join(other, "home"), PREFECT_SERVER_ANALYTICS_ENABLED: "false" },
    },
    async () => undefined,
  );
  const alone = (name: string, ms: number, goal: string): Row => ({
    name,
    flowyard: `${(ms / 1000).toFixed(2)} s`,
    prefect: "",
    ratio: "",
    goal,
  });
  const rows = [
    buildRow(`${DEPLOYMENTS} new deployments`, ours.newMs, theirs.newMs),
    buildRow(`${DEPLOYMENTS} unchanged deployments`, ours.unchangedMs, theirs.unchangedMs),
    alone(`${DEPLOYMENTS} changed deployments`, ours.after.changedMs, "<= 10 s"),
    alone(`rollback of ${DEPLOYMENTS}`, ours.after.rollbackMs, "<= 1 s"),
  ];
  process.stdout.write(`From the start of the command to its end, no image built.\n\n${formatTable(rows)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
