import { mkdir, writeFile } from "node:fs/promises";
import { setUpBaseImage } from "./base-image.ts";
import { cacheDirectory, stateDirectory } from "./config.ts";
import { setUpDockerEngine } from "./docker-engine.ts";
import { setUpBuildx, setUpCompose } from "./docker-plugins.ts";
import { withLock } from "./lock.ts";
import { type DemoMachine, Machine, machineFile } from "./machine.ts";
import { PartMissing, setUpPart } from "./part.ts";
import { setUpPostgres } from "./postgres.ts";
import { setUpPostgresImage } from "./postgres-image.ts";
import { setUpOldestPrefect, setUpPrefect } from "./python.ts";
import { setUpRegistries } from "./registry.ts";
import { setUpWorkflowLinters } from "./workflow-linters.ts";

/**
 * Finds or makes every part, at the same time where they do not need each other, and records them for the tests.
 * Safe to repeat, and fast when all is there. A part that cannot be had is in the result with its reason.
 */
export async function setUpMachine(): Promise<Machine> {
  await mkdir(cacheDirectory, { recursive: true });
  await mkdir(stateDirectory, { recursive: true });
  const machine = await withLock(cacheDirectory, async () => {
    const [containers, registry, prefect, oldestPrefect, plugins, workflowLinters] = await Promise.all([
      setUpContainers(),
      setUpPart("registry", setUpRegistries),
      setUpPart("python", setUpPrefect),
      setUpPart("python", setUpOldestPrefect),
      setUpPlugins(),
      setUpPart("workflow linters", setUpWorkflowLinters),
    ]);
    return Machine.parse({ ...containers, registry, prefect, oldestPrefect, ...plugins, workflowLinters });
  });
  await writeFile(machineFile, JSON.stringify(machine, null, 2));
  return machine;
}

/** Only what the demo needs: a newcomer waits for no registry, no second Prefect and no linters. */
export async function setUpDemoMachine(): Promise<DemoMachine> {
  await mkdir(cacheDirectory, { recursive: true });
  return withLock(cacheDirectory, async () => {
    const { docker, baseImage } = await setUpEngineAndImage();
    const hasContainers = docker.available && baseImage.available;
    return { docker, baseImage, ...(hasContainers ? {} : { prefect: await setUpPart("python", setUpPrefect) }) };
  });
}

async function setUpContainers() {
  const [engine, postgres] = await Promise.all([setUpEngineAndImage(), setUpPart("postgres", setUpPostgres)]);
  const postgresImage = await setUpPart("postgres image", async () => {
    const { docker, baseImage } = engine;
    if (!docker.available || !baseImage.available || !postgres.available) {
      throw new PartMissing("it is made of the engine, the base image and PostgreSQL", "see the messages above");
    }
    return setUpPostgresImage({ host: docker.host, baseImage: baseImage.tag, programs: postgres.programs });
  });
  return { ...engine, postgres, postgresImage };
}

/** One after the other: what they share is compiled once. */
async function setUpPlugins() {
  const buildx = await setUpPart("buildx", setUpBuildx);
  return { buildx, compose: await setUpPart("compose", setUpCompose) };
}

async function setUpEngineAndImage() {
  const docker = await setUpPart("docker", setUpDockerEngine);
  const baseImage = await setUpPart("base image", async () => {
    if (!docker.available) {
      throw new PartMissing("there is no Docker engine to hold it", docker.remedy);
    }
    return setUpBaseImage(docker.host);
  });
  return { docker, baseImage };
}
