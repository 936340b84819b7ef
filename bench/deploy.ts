import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { findFreePort } from "../scripts/setup/free-port.ts";
import { loadMachine } from "../scripts/setup/machine.ts";
import { startProcess } from "./processes.ts";
import { formatTable, type Row } from "./report.ts";

// The same project of 100 deployments, deployed twice: by `flowyard deploy` as a release to our plane, and by
// `prefect deploy --all` to Prefect's server. Then what only we have: all of them with one image that changed, built and
// pushed to a real registry, and a rollback.

const DEPLOYMENTS = 100;
const POOL = "bench-pool";
const DEPLOY = ["deploy", "--all", "--environment", "production"];
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

/** One image for all of them, of new content each time. */
function addImage(folder: string, registry: string): void {
  const file = join(folder, "prefect.yaml");
  const step = (name: string, ...inputs: string[]) => [
    `  - prefect_docker.deployments.steps.${name}:`,
    ...inputs.map((input) => `      ${input}`),
  ];
  const steps = [
    "build:",
    ...step("build_docker_image", "id: image", `image_name: ${registry}/flowyard-bench`, "tag: v1", "pull: false"),
    "push:",
    ...step("push_docker_image", `image_name: ${registry}/flowyard-bench`, "tag: v1"),
  ];
  const project = readFileSync(file, "utf8").replaceAll('"etl:1"', '"{{ image.image }}"');
  writeFileSync(file, project.replace("pull:\n", `${steps.join("\n")}\npull:\n`));
  writeFileSync(join(folder, "Dockerfile"), `FROM scratch\nLABEL bench=${Date.now()}\nCOPY flow.py /opt/etl/flow.py\n`);
}

const Released = z.object({
  changes: z.array(z.object({ action: z.string() })),
  images: z.array(z.object({ outcome: z.string(), build_seconds: z.number() })),
});

/** How long deploying them took besides the one build, with the push. Throws when it was not one build. */
async function timeImage(options: { cwd: string; env: Record<string, string> }, host: string): Promise<number> {
  const env = { ...options.env, DOCKER_HOST: host };
  const startedAt = performance.now();
  const { stdout } = await run(flowyard, [...DEPLOY, "--json"], { ...options, env, maxBuffer: 64 * 1024 * 1024 });
  const tookMs = performance.now() - startedAt;
  const { changes, images } = Released.parse(JSON.parse(stdout));
  const [image, ...others] = images;
  if (image?.outcome !== "built" || others.length > 0 || changes.length !== DEPLOYMENTS) {
    throw new Error(`expected one build for ${DEPLOYMENTS} changes: ${JSON.stringify(images)}, ${changes.length}`);
  }
  return tookMs - image.build_seconds * 1000;
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

const { prefect, docker, registry } = await loadMachine();
if (!prefect.available) {
  throw new Error(`nothing to compare with: ${prefect.reason}; ${prefect.remedy}`);
}
const folder = mkdtempSync(join(tmpdir(), "flowyard-bench-"));
try {
  const own = join(folder, "flowyard");
  const ours = await measure(
    own,
    {
      program: flowyard,
      server: ["server", "start", "--database", join(folder, "plane.sqlite")],
      deploy: DEPLOY,
      env: { FLOWYARD_HOME: own },
    },
    async (options) => {
      writeProject(own, 2);
      const changedMs = await time(flowyard, DEPLOY, options);
      if (!docker.available || !registry.available) {
        throw new Error("a Docker engine and a registry are needed: run `npm test -- --only setup`");
      }
      addImage(own, registry.address);
      const imageMs = await timeImage(options, docker.host);
      return { changedMs, imageMs, rollbackMs: await time(flowyard, ["rollback"], options) };
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
    alone(`${DEPLOYMENTS} with one new image, besides its build`, ours.after.imageMs, "<= 10 s"),
    alone(`rollback of ${DEPLOYMENTS}`, ours.after.rollbackMs, "<= 1 s"),
  ];
  process.stdout.write(`From the start of the command to its end.\n\n${formatTable(rows)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
