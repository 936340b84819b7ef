import type { DemoMachine } from "../setup/machine.ts";
import { runCommand } from "../setup/run-command.ts";

/** What example/prefect.yaml builds. */
const IMAGE = "flowyard/example:latest";

/** The id of the example's image in the engine; null when there is none. */
export async function findExampleImage(machine: DemoMachine): Promise<string | null> {
  const found = await docker(machine, ["image", "inspect", "--format", "{{.Id}}", IMAGE]);
  return found === null || found === "" ? null : found;
}

/** Removes the containers that still run the example, and its image unless the user had the same one before. */
export async function removeLeftovers(machine: DemoMachine, imageBefore: string | null): Promise<void> {
  const containers = await docker(machine, ["ps", "--all", "--quiet", "--filter", `ancestor=${IMAGE}`]);
  for (const id of containers?.split("\n").filter((line) => line !== "") ?? []) {
    await docker(machine, ["rm", "--force", id]);
  }
  const image = await findExampleImage(machine);
  if (image !== null && image !== imageBefore) {
    // The tag of its content as well, or the image would stay.
    const tags = await docker(machine, ["image", "inspect", "--format", '{{join .RepoTags "\\n"}}', IMAGE]);
    await docker(machine, ["image", "rm", ...(tags ?? IMAGE).split("\n").filter((tag) => tag !== "")]);
  }
}

async function docker(machine: DemoMachine, args: string[]): Promise<string | null> {
  if (!machine.docker.available) {
    return null;
  }
  const result = await runCommand("docker", ["--host", machine.docker.host, ...args]);
  return result.code === 0 ? result.stdout : null;
}
