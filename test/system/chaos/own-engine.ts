import { randomInt } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, stat, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../../../scripts/setup/run-command.ts";
import { TestProcess } from "../../support/child-process.ts";
import { waitUntil } from "../../support/wait-until.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

async function runToSuccess(program: string, args: string[]): Promise<void> {
  const done = await runCommand(program, args);
  if (done.code !== 0) {
    throw new Error(`${program} ${args.join(" ")}: ${done.tail}`);
  }
}

const runIp = (...args: string[]) => runToSuccess("ip", args);

/** A Docker engine of a test's own, which may be stopped and killed: nobody else's containers are in it. */
export class OwnEngine {
  readonly host: string;
  readonly #folder: string;
  readonly #bridge: string;
  readonly #flags: string[];
  #daemon: TestProcess;

  private constructor(folder: string, bridge: string, flags: string[]) {
    this.#folder = folder;
    this.#bridge = bridge;
    this.#flags = flags;
    this.host = `unix://${join(folder, "docker.sock")}`;
    this.#daemon = this.#launch();
  }

  /**
   * With a bridge of its own, though containers share the machine's network: an engine that is told to have none removes
   * `docker0`, which is the other engine's. `diskMegabytes`: what images, containers and their logs have room in.
   */
  static async start(flags: string[] = [], diskMegabytes?: number): Promise<OwnEngine> {
    const bridge = `fy${randomInt(0x10000).toString(16)}`;
    await runIp("link", "add", bridge, "type", "bridge");
    await runIp("addr", "add", `10.231.${randomInt(256)}.1/24`, "dev", bridge);
    await runIp("link", "set", bridge, "up");
    const folder = await mkdtemp(join(tmpdir(), "fy-engine-"));
    if (diskMegabytes !== undefined) {
      await mkdir(join(folder, "data"));
      await runToSuccess("mount", ["-t", "tmpfs", "-o", `size=${diskMegabytes}m`, "tmpfs", join(folder, "data")]);
    }
    const engine = new OwnEngine(folder, bridge, flags);
    await engine.#waitUntilReady();
    return engine;
  }

  #launch(): TestProcess {
    const folder = this.#folder;
    const places = [`--data-root=${folder}/data`, `--exec-root=${folder}/exec`, `--pidfile=${folder}/dockerd.pid`];
    const network = [`--bridge=${this.#bridge}`, "--iptables=false", "--ip-masq=false", "--userland-proxy=false"];
    return new TestProcess("dockerd", [...places, ...network, `--host=${this.host}`, ...this.#flags], {
      cwd: folder,
      env: { PATH, HOME: folder },
    });
  }

  #waitUntilReady(): Promise<void> {
    return waitUntil(async () => (await this.#docker("version")).code === 0, {
      timeoutMs: 60_000,
      what: "the engine",
      evidence: () => this.#daemon.output.slice(-3000),
    });
  }

  #docker(...args: string[]) {
    return runCommand("docker", ["--host", this.host, ...args]);
  }

  /** Copies an image from another engine. */
  async copyImage(tag: string, from: string): Promise<void> {
    const pipe = 'docker --host "$1" save "$2" | docker --host "$3" load';
    const copied = await runCommand("sh", ["-c", pipe, "sh", from, tag, this.host]);
    if (copied.code !== 0) {
      throw new Error(`the image could not be copied: ${copied.tail}`);
    }
  }

  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.#daemon.child.kill(signal);
    await this.#daemon.finish(60_000);
  }

  async start(): Promise<void> {
    this.#daemon = this.#launch();
    await this.#waitUntilReady();
  }

  /** Takes all room on its disk but so much. */
  async fillDisk(leaveMegabytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(join(this.#folder, "data"));
    const bytes = bavail * bsize - leaveMegabytes * 1024 * 1024;
    await runToSuccess("fallocate", ["--length", String(bytes), this.#ballast]);
  }

  freeDisk(): Promise<void> {
    return rm(this.#ballast, { force: true });
  }

  get #ballast(): string {
    return join(this.#folder, "data", "ballast");
  }

  async countContainers(): Promise<number> {
    const listed = await this.#docker("ps", "--all", "--quiet");
    return listed.stdout.split("\n").filter((line) => line !== "").length;
  }

  /** Also what it left when it was killed: its containerd, and what it had mounted. */
  async remove(): Promise<void> {
    if (this.#daemon.child.exitCode !== null || this.#daemon.child.signalCode !== null) {
      await this.start();
    }
    const listed = await this.#docker("ps", "--all", "--quiet");
    await this.#docker("rm", "--force", ...listed.stdout.split("\n").filter((line) => line !== ""));
    await this.stop("SIGTERM");
    await this.#endContainerd();
    const mounts = await readFile("/proc/mounts", "utf8");
    const own = mounts
      .split("\n")
      .map((line) => line.split(" ")[1] ?? "")
      .toReversed();
    for (const place of own.filter((mount) => mount.startsWith(`${this.#folder}/`))) {
      await runCommand("umount", [place]);
    }
    await runIp("link", "delete", this.#bridge);
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #endContainerd(): Promise<void> {
    const text = await readFile(join(this.#folder, "exec", "containerd", "containerd.pid"), "utf8").catch(() => "");
    const command = await readFile(`/proc/${Number(text)}/cmdline`, "utf8").catch(() => "");
    if (command.includes(this.#folder)) {
      process.kill(Number(text), "SIGTERM");
      const isGone = () =>
        stat(`/proc/${Number(text)}`).then(
          () => false,
          () => true,
        );
      await waitUntil(isGone, { timeoutMs: 10_000, what: "the end of containerd" });
    }
  }
}
