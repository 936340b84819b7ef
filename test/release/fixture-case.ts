import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import type { PrefectClient } from "../../src/client/prefect-client.ts";
import type { Deployment } from "../../src/prefect-api/deployments.ts";
import type { DeployFlags } from "../../src/project/overlay.ts";
import { deploy } from "../../src/release/deploy.ts";
import { runProcess } from "../../src/release/steps/run-process.ts";
import { defineStep } from "../../src/release/steps/step.ts";
import { STEPS, type StepTable } from "../../src/release/steps/step-table.ts";
import { UserError } from "../../src/shared/errors.ts";
import { openRecordedPlane, type RecordedPlane } from "./recorded-plane.ts";

export const FIXTURES = new URL("../fixtures/prefect-yaml/", import.meta.url).pathname;

const Json = z.record(z.string(), z.unknown());

const Args = z.object({
  args: z.array(z.string()).default([]),
  env: z.record(z.string(), z.string()).default({}),
  work_pools: z.record(z.string(), z.string()).default({}),
  variables: Json.default({}),
  secret_blocks: Json.default({}),
  setup: z.array(z.string()).default([]),
  deployed_before: z.array(z.record(z.string(), z.string())).default([]),
});

export const Expected = z.object({
  exit_code: z.number(),
  words: z.array(z.string()).default([]),
  steps: z.array(z.object({ step: z.string(), inputs: Json, output: Json.optional() })),
  requests: z.array(z.object({ method: z.string(), path: z.string(), status: z.number(), body: Json.nullable() })),
  deployments: z.array(Json),
});
export type Expected = z.infer<typeof Expected>;

/** What a run of ours did, in the same form as what is expected. */
export interface Actual extends Expected {
  output: string;
}

const IMAGE_ID = `sha256:${"0".repeat(64)}`;
const Image = z.looseObject({
  image_name: z.string(),
  tag: z.string().nullish(),
  additional_tags: z.array(z.string()).nullish(),
});

/** The Docker steps as they stood when the cases were recorded: functions that return the documented outputs. */
const STAND_IN_STEPS: StepTable = {
  ...STEPS,
  "prefect_docker.deployments.steps.build_docker_image": defineStep(Image, async (inputs) => ({
    outputs: { ...describeImage(inputs), image_id: IMAGE_ID },
  })),
  "prefect_docker.deployments.steps.push_docker_image": defineStep(Image, async (inputs) => ({
    outputs: describeImage(inputs),
  })),
};

function describeImage({ image_name, tag, additional_tags }: z.infer<typeof Image>) {
  return { image_name, tag, image: `${image_name}:${tag}`, additional_tags: additional_tags ?? [] };
}

const REPEATED: Record<string, keyof DeployFlags | "names"> = {
  "-n": "names",
  "--name": "names",
  "-t": "tags",
  "--tag": "tags",
  "--cron": "cron",
  "--rrule": "rrule",
  "--trigger": "triggers",
  "--param": "param",
  "--job-variable": "jobVariables",
};
const SINGLE: Record<string, keyof DeployFlags | "projectFile"> = {
  "-p": "workPool",
  "--pool": "workPool",
  "-q": "workQueue",
  "-d": "description",
  "--description": "description",
  "--version": "version",
  "--params": "params",
  "--timezone": "timezone",
  "--anchor-date": "anchorDate",
  "--collision-strategy": "collisionStrategy",
  "--prefect-file": "projectFile",
};

/** The flags as the command line reads them. */
function parseArgs(args: readonly string[]) {
  const texts: Record<string, string> = {};
  const lists: Record<string, string[]> = {};
  const flags: DeployFlags = {};
  let all = false;
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? "";
    const repeated = REPEATED[arg];
    const single = SINGLE[arg];
    if (repeated !== undefined) {
      at += 1;
      lists[repeated] = [...(lists[repeated] ?? []), args[at] ?? ""];
    } else if (single !== undefined) {
      at += 1;
      texts[single] = args[at] ?? "";
    } else if (arg === "--interval") {
      at += 1;
      flags.interval = [...(flags.interval ?? []), Number(args[at])];
    } else if (arg === "--concurrency-limit") {
      at += 1;
      flags.concurrencyLimit = Number(args[at]);
    } else if (arg === "--no-enforce-parameter-schema") {
      flags.enforceParameterSchema = false;
    } else if (arg === "--all") {
      all = true;
    } else if (arg.startsWith("-")) {
      throw new Error(`unknown flag ${arg}`);
    } else {
      flags.entrypoint = arg;
    }
  }
  const { names = [], ...repeatedFlags } = lists;
  const { projectFile = "prefect.yaml", ...singleFlags } = texts;
  return { flags: { ...flags, ...repeatedFlags, ...singleFlags }, names, all, projectFile };
}

/** What a case has besides its own variables: where `git`, `python3` and `echo` are, and no settings of a person. */
const BASE_ENVIRONMENT = { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: tmpdir(), GIT_CONFIG_GLOBAL: "/dev/null" };

/** Copies the case to a folder of its name, runs our deploy in it, and tells what happened as the record does. */
export async function runCase(name: string): Promise<{ expected: Expected; actual: Actual }> {
  const source = path.join(FIXTURES, name);
  const args = Args.parse(JSON.parse(await readFile(path.join(source, "args.json"), "utf8")));
  const expected = Expected.parse(JSON.parse(await readFile(path.join(source, "expected.json"), "utf8")));
  const home = await mkdtemp(path.join(tmpdir(), "flowyard-case-"));
  const root = path.join(home, name);
  await cp(source, root, { recursive: true });
  await rm(path.join(root, "args.json"));
  await rm(path.join(root, "expected.json"));

  await using plane = await openRecordedPlane({
    ...args,
    work_pools: Object.keys(args.work_pools).length === 0 ? { pool: "process" } : args.work_pools,
  });
  const env = { ...BASE_ENVIRONMENT, ...args.env };
  try {
    await runSetup(args.setup, root, env);
    for (const files of args.deployed_before) {
      const current = await readFile(path.join(root, "prefect.yaml"));
      for (const [file, text] of Object.entries(files)) {
        await mkdir(path.dirname(path.join(root, file)), { recursive: true });
        await writeFile(path.join(root, file), text);
      }
      await runDeploy(["--all"], root, plane.client, env);
      await writeFile(path.join(root, "prefect.yaml"), current);
    }
    plane.requests.length = 0;
    const ran = await runDeploy(args.args, root, plane.client, env);
    return { expected, actual: await describeRun(plane, ran, root) };
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

async function runSetup(commands: readonly string[], root: string, env: Record<string, string>): Promise<void> {
  for (const command of commands) {
    const { signal } = new AbortController();
    const finished = await runProcess({
      command,
      args: [],
      shell: true,
      directory: root,
      env,
      signal,
      onOutput: () => undefined,
    });
    if (finished.exitCode !== 0) {
      throw new Error(`setup ${command}: ${finished.stderr}`);
    }
  }
}

interface Ran {
  exitCode: number;
  output: string;
  steps: Expected["steps"];
}

async function runDeploy(
  args: string[],
  root: string,
  client: PrefectClient,
  env: Record<string, string>,
): Promise<Ran> {
  const said: string[] = [];
  const steps: Expected["steps"] = [];
  const { flags, names, all, projectFile } = parseArgs(args);
  try {
    await deploy({
      root,
      projectFile,
      selection: { names, all },
      flags,
      env,
      client,
      output: { progress: (text) => said.push(text), warn: (text) => said.push(text), write: () => undefined },
      signal: new AbortController().signal,
      steps: STAND_IN_STEPS,
      onStep: ({ step, inputs, outputs }) => {
        if (outputs === undefined) {
          steps.push({ step, inputs });
        } else {
          steps.splice(-1, 1, { step, inputs, output: outputs });
        }
      },
    });
    return { exitCode: 0, output: said.join("\n"), steps };
  } catch (error) {
    if (!(error instanceof UserError)) {
      throw error;
    }
    const hint = error.hint === undefined ? "" : `\n${error.hint}`;
    return { exitCode: 1, output: `${said.join("\n")}\n${error.message}${hint}`, steps };
  }
}

async function describeRun(plane: RecordedPlane, ran: Ran, root: string): Promise<Actual> {
  const requests = [...plane.requests];
  const flows = new Map((await plane.client.flows.list()).map((flow) => [flow.id, flow.name]));
  const deployments = await plane.client.deployments.list();
  const names = new Map([...flows].map(([id, name]) => [id, `<flow:${name}>`]));
  for (const deployment of deployments) {
    names.set(deployment.id, `<deployment:${deployment.name}>`);
  }
  const shown = deployments.map((deployment) => describeDeployment(deployment, flows.get(deployment.flow_id)));
  const text = renameText(JSON.stringify({ requests, deployments: shown }), names, root);
  const shape = z.object({ requests: Expected.shape.requests, deployments: Expected.shape.deployments });
  const output = ran.output.replaceAll(root, "<CWD>");
  return { exit_code: ran.exitCode, words: [], output, steps: ran.steps, ...shape.parse(JSON.parse(text)) };
}

/** A deployment as the server gives it back, less ids and times. */
function describeDeployment(deployment: Deployment, flowName: string | undefined): Record<string, unknown> {
  return {
    name: deployment.name,
    flow_name: flowName,
    version: deployment.version,
    description: deployment.description,
    paused: deployment.paused,
    tags: deployment.tags,
    entrypoint: deployment.entrypoint,
    path: deployment.path,
    work_pool_name: deployment.work_pool_name,
    work_queue_name: deployment.work_queue_name,
    job_variables: deployment.job_variables,
    parameters: deployment.parameters,
    enforce_parameter_schema: deployment.enforce_parameter_schema,
    pull_steps: deployment.pull_steps,
    concurrency_options: deployment.concurrency_options ?? null,
    concurrency_limit: deployment.global_concurrency_limit?.limit ?? null,
    parameter_openapi_schema: deployment.parameter_openapi_schema,
    schedules: deployment.schedules.map(({ id, created, updated, deployment_id, ...schedule }) => schedule),
  };
}

function renameText(text: string, names: ReadonlyMap<string, string>, root: string): string {
  const withIds = [...names].reduce((result, [id, name]) => result.replaceAll(id, name), text);
  return withIds.replaceAll(root, "<CWD>");
}
