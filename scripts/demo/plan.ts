import { cp, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { parse, stringify } from "yaml";
import { z } from "zod";
import type { DemoMachine } from "../setup/machine.ts";

const exampleFolder = join(import.meta.dirname, "../../example");

/** What the demo runs on: containers where there is an engine, else processes of this machine. */
export interface DemoPlan {
  poolType: "docker" | "process";
  poolName: string;
  /** Folder to deploy from. */
  project: string;
  /** Added to the environment of the worker and of `deploy`. */
  environment: Record<string, string>;
}

/** Null when this machine can have neither; what is missing has been told by the set-up. */
export async function planDemo(machine: DemoMachine, folder: string): Promise<DemoPlan | null> {
  if (machine.docker.available && machine.baseImage.available) {
    return {
      poolType: "docker",
      poolName: "my-docker-pool",
      project: exampleFolder,
      environment: { DOCKER_HOST: machine.docker.host },
    };
  }
  if (machine.prefect?.available) {
    const project = join(folder, "example");
    await copyForProcesses(project);
    // biome-ignore lint/style/noProcessEnv: handed on to the worker, whose runs need the Prefect of the set-up
    const path = [join(machine.prefect.venv, "bin"), process.env["PATH"]].join(delimiter);
    return {
      poolType: "process",
      poolName: "my-process-pool",
      project,
      environment: { PATH: path, FLOWYARD_WORKER_PYTHON: machine.prefect.python },
    };
  }
  return null;
}

const ProjectFile = z.looseObject({
  build: z.unknown(),
  deployments: z.array(z.looseObject({ work_pool: z.unknown() })),
});

/** The example without images: no build step, the pool of processes, and the code where it lies. */
async function copyForProcesses(project: string): Promise<void> {
  await cp(exampleFolder, project, { recursive: true });
  const file = join(project, "prefect.yaml");
  const { build: _, definitions: __, ...rest } = ProjectFile.parse(parse(await readFile(file, "utf8")));
  await writeFile(
    file,
    stringify({
      ...rest,
      pull: [{ "prefect.deployments.steps.set_working_directory": { directory: project } }],
      deployments: rest.deployments.map((deployment) => ({ ...deployment, work_pool: { name: "my-process-pool" } })),
    }),
  );
}
