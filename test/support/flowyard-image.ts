import assert from "node:assert/strict";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildImageContext } from "../../scripts/build-image.ts";
import { runCommand } from "../../scripts/setup/run-command.ts";

interface ImageRequest {
  /** Value for DOCKER_HOST. */
  host: string;
  /** Of Debian; the base image of the set-up. */
  baseImage: string;
  /** Of what is made: `NAME:test`, and `NAME:base` below it. */
  name: string;
  /** Where contexts are made. */
  folder: string;
}

/** Our image as `npm run image` builds it. For the official Node image stands one that is made of what the machine has. */
export async function buildFlowyardImage({ host, baseImage, name, folder }: ImageRequest): Promise<string> {
  const docker = async (...args: string[]) => {
    const { code, tail } = await runCommand("docker", ["--host", host, ...args]);
    assert.equal(code, 0, tail);
  };
  const node = join(folder, "node");
  const [context] = await Promise.all([
    buildImageContext(join(folder, "context")),
    mkdir(node).then(() => copyFile(process.execPath, join(node, "node"))),
  ]);
  const lines = [`FROM ${baseImage}`, "RUN rm -rf /opt/venv", "COPY node /usr/local/bin/node", "ENTRYPOINT []"];
  await writeFile(join(node, "Dockerfile"), `${lines.join("\n")}\n`);
  await docker("build", "--quiet", "--tag", `${name}:base`, node);
  await docker("build", "--quiet", "--tag", `${name}:test`, "--build-arg", `NODE_IMAGE=${name}:base`, context);
  await rm(node, { recursive: true });
  return `${name}:test`;
}

export async function removeFlowyardImage({ host, name }: Pick<ImageRequest, "host" | "name">): Promise<void> {
  await runCommand("docker", ["--host", host, "image", "rm", "--force", `${name}:test`, `${name}:base`]);
}
