import { mkdir, writeFile } from "node:fs/promises";
import { setUpBaseImage } from "./base-image.ts";
import { setUpBuildx } from "./buildx.ts";
import { cacheDirectory, stateDirectory } from "./config.ts";
import { setUpDockerEngine } from "./docker-engine.ts";
import { withLock } from "./lock.ts";
import { type DemoMachine, Machine, machineFile } from "./machine.ts";
import { PartMissing, setUpPart } from "./part.ts";
import { setUpPostgres } from "./postgres.ts";
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
    const [engine, registry, prefect, oldestPrefect, postgres, buildx, workflowLinters] = await Promise.all([
      setUpEngineAndImage(),
      setUpPart("registry", setUpRegistries),
      setUpPart("python", setUpPrefect),
      setUpPart("python", setUpOldestPrefect),
      setUpPart("postgres", setUpPostgres),
      setUpPart("buildx", setUpBuildx),
      setUpPart("workflow linters", setUpWorkflowLinters),
    ]);
    return Machine.parse({ ...engine, registry, prefect, oldestPrefect, postgres, buildx, workflowLinters });
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
