import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { cp, mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../../scripts/setup/free-port.ts";
import { type CommandResult, runCommand } from "../../scripts/setup/run-command.ts";
import { buildFlowyardImage, removeFlowyardImage } from "./flowyard-image.ts";
import { repositoryRoot } from "./plane-process.ts";

export const SOCKET = "/var/run/docker.sock";

interface Parts {
  baseImage: string;
  postgresImage: string;
  /** Docker's plugin. */
  composePlugin: string;
}

/**
 * `compose.yaml` as it is, in a folder of its own with an `.env` as the documentation asks for: a project that is not a
 * developer's own `flowyard`.
 */
export class ComposeProject {
  readonly name = `flowyard-compose-${randomUUID().slice(0, 8)}`;
  readonly authString = "operator:correct-horse";
  readonly image = `${this.name}:test`;
  readonly folder: string;
  readonly apiUrl: string;

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.apiUrl = `http://127.0.0.1:${port}/api`;
  }

  static async open({ baseImage, postgresImage, composePlugin }: Parts): Promise<ComposeProject> {
    const folder = await mkdtemp(join(tmpdir(), "flowyard-compose-"));
    const port = await findFreePort();
    const project = new ComposeProject(folder, port);
    await mkdir(join(folder, "docker/cli-plugins"), { recursive: true });
    await symlink(composePlugin, join(folder, "docker/cli-plugins/docker-compose"));
    await cp(join(repositoryRoot, "compose.yaml"), join(folder, "compose.yaml"));
    const settings = {
      FLOWYARD_AUTH_STRING: project.authString,
      POSTGRES_PASSWORD: "a'$secret",
      DOCKER_GID: String((await stat(SOCKET)).gid),
      FLOWYARD_IMAGE: project.image,
      POSTGRES_IMAGE: postgresImage,
      FLOWYARD_PUBLISH: `127.0.0.1:${port}`,
      COMPOSE_PROJECT_NAME: project.name,
      FLOWYARD_NETWORK: project.name,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name}='${value.replaceAll("'", "\\'")}'\n`);
    await writeFile(join(folder, ".env"), lines.join(""));
    await buildFlowyardImage({ host: `unix://${SOCKET}`, baseImage, name: project.name, folder });
    return project;
  }

  /** `docker …`, as typed in the project's folder. */
  run(...args: string[]): Promise<CommandResult> {
    return runCommand("docker", args, {
      cwd: this.folder,
      env: { DOCKER_HOST: `unix://${SOCKET}`, DOCKER_CONFIG: join(this.folder, "docker") },
      timeoutMs: 120_000,
    });
  }

  /** Answers what it printed; fails with it when the command does. */
  async docker(...args: string[]): Promise<string> {
    const { code, stdout, output } = await this.run(...args);
    assert.equal(code, 0, `docker ${args.join(" ")}: ${output}`);
    return stdout;
  }

  compose(...args: string[]): Promise<string> {
    return this.docker("compose", ...args);
  }

  /** What of the project the engine has: containers, networks, volumes. */
  async listParts(): Promise<string[]> {
    const ofProject = ["--quiet", "--filter", `label=com.docker.compose.project=${this.name}`];
    const listed = await Promise.all([
      this.docker("ps", "--all", ...ofProject),
      this.docker("network", "ls", ...ofProject),
      this.docker("volume", "ls", ...ofProject),
    ]);
    return listed.flatMap((text) => text.split("\n")).filter((line) => line !== "");
  }

  async close(): Promise<void> {
    const runs = (await this.docker("ps", "--all", "--quiet", "--filter", `label=${this.name}`)).split("\n");
    for (const id of runs.filter((one) => one !== "")) {
      await this.docker("rm", "--force", id);
    }
    await this.compose("down", "--volumes", "--timeout", "1");
    const images = (await this.docker("image", "ls", "--quiet", "--filter", `reference=${this.name}/*`)).split("\n");
    for (const id of new Set(images.filter((one) => one !== ""))) {
      await this.docker("image", "rm", "--force", id);
    }
    await removeFlowyardImage({ host: `unix://${SOCKET}`, name: this.name });
    await rm(this.folder, { recursive: true, force: true });
  }
}
