import { isCi } from "../setup/config.ts";
import { loadMachine } from "../setup/machine.ts";
import { runCommand } from "../setup/run-command.ts";
import type { Tally } from "./tally.ts";

/** Inherited by everything that is built on the base image of the set-up. */
const OUR_LABEL = "label=io.flowyard.base-image";

export interface Container {
  id: string;
  /** Image and name, for people. */
  title: string;
  /** Made for one step of a build and never started. */
  isBuildStep: boolean;
}

/** Every container of the engine; none when there is no engine. */
export async function listContainers(): Promise<Container[]> {
  const format = "{{.ID}}\t{{.Image}} {{.Names}}\t{{.Command}}";
  const listed = await docker(["ps", "--all", "--no-trunc", "--format", format]);
  return listed
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [id = "", title = "", command = ""] = line.split("\t");
      return { id, title, isBuildStep: command.includes("#(nop)") };
    });
}

/**
 * Removes what Prefect's own image builder leaves on every build, and then holds the tests to having stopped what they
 * started. On a machine that others use too nobody can tell whose a container is, so only CI fails for one.
 */
export async function cleanUp(before: Container[]): Promise<Tally> {
  const known = new Set(before.map(({ id }) => id));
  const left = (await listContainers()).filter(({ id }) => !known.has(id));
  for (const { id } of left.filter(({ isBuildStep }) => isBuildStep)) {
    await docker(["rm", id]);
  }
  await docker(["image", "prune", "--force", "--filter", OUR_LABEL]);
  const forgotten = left.filter(({ isBuildStep }) => isCi && !isBuildStep);
  for (const { title } of forgotten) {
    process.stdout.write(`  ✗ left behind: container ${title}\n`);
  }
  return { passed: forgotten.length === 0 ? 1 : 0, failed: forgotten.length === 0 ? 0 : 1, skipped: 0 };
}

async function docker(args: string[]): Promise<string> {
  const machine = await loadMachine();
  if (!machine.docker.available) {
    return "";
  }
  const result = await runCommand("docker", ["--host", machine.docker.host, ...args]);
  return result.code === 0 ? result.stdout : "";
}
