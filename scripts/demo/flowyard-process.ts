import { type ChildProcess, spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const PATIENCE_MS = 2_000; // a worker waits for its runs until it is asked a second time
const STOP_TIMEOUT_MS = 20_000;

/** Runs the launcher as a user would, from this checkout. */
export interface FlowyardOptions {
  cwd: string;
  environment: NodeJS.ProcessEnv;
}

/** A command that ends by itself, printing to our terminal; its exit code. It is ended when one of the daemons it needs is. */
export async function runFlowyard(
  args: string[],
  options: FlowyardOptions,
  needed: FlowyardDaemon[] = [],
): Promise<number> {
  sayCommand(args);
  const child = spawnFlowyard(args, options, "inherit");
  const exited = waitForExit(child);
  const lost = needed.map((daemon) => daemon.exited.then(() => "lost" as const));
  if ((await Promise.race([exited, ...lost])) === "lost") {
    child.kill("SIGTERM");
  }
  return (await exited) ?? 1;
}

/** A process that goes on until it is stopped, with its output in a file. */
export class FlowyardDaemon {
  readonly name: string;
  readonly logFile: string;
  /** Resolves with the exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;

  private constructor(name: string, logFile: string, child: ChildProcess) {
    this.name = name;
    this.logFile = logFile;
    this.#child = child;
    this.exited = waitForExit(child);
  }

  static async start(name: string, args: string[], options: FlowyardOptions & { logFile: string }) {
    sayCommand(args);
    const log = await open(options.logFile, "a");
    try {
      return new FlowyardDaemon(name, options.logFile, spawnFlowyard(args, options, log.fd));
    } finally {
      await log.close();
    }
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Asks it to stop, insists, and ends it when that does not help. */
  async stop(): Promise<void> {
    if (!this.isRunning) {
      return;
    }
    this.#child.kill("SIGTERM");
    const insist = setTimeout(() => this.#child.kill("SIGTERM"), PATIENCE_MS);
    const end = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.exited;
    clearTimeout(insist);
    clearTimeout(end);
  }
}

function spawnFlowyard(args: string[], options: FlowyardOptions, output: "inherit" | number): ChildProcess {
  return spawn(join(root, "bin/flowyard"), args, {
    cwd: options.cwd,
    env: options.environment,
    stdio: ["ignore", output, output],
    // Ctrl-C reaches the whole foreground group: a daemon has its own, so that we decide in which order they stop.
    detached: output !== "inherit",
  });
}

function waitForExit(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
}

function sayCommand(args: string[]): void {
  const quoted = args.map((arg) => (/^[\w./:=@-]+$/.test(arg) ? arg : `'${arg}'`));
  process.stdout.write(`\n$ flowyard ${quoted.join(" ")}\n`);
}
