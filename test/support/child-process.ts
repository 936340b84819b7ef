import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { waitUntil } from "./wait-until.ts";

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  cwd: string;
  env: Record<string, string>;
  timeoutMs?: number;
  stdin?: string;
}

/** A child process of a test, with all that it printed. Nothing of the test's own environment leaks into it. */
export class TestProcess {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly #closed: Promise<unknown>;

  constructor(file: string, args: readonly string[], options: RunOptions) {
    this.child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.child.stdin?.on("error", () => undefined);
    this.child.stdin?.end(options.stdin ?? "");
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.#closed = once(this.child, "close");
    this.#closed.catch(() => undefined);
  }

  get output(): string {
    return `${this.stdout}\n${this.stderr}`;
  }

  async finish(timeoutMs: number): Promise<Finished> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), timeoutMs);
    await this.#closed;
    clearTimeout(timer);
    return { code: this.child.exitCode ?? 124, stdout: this.stdout, stderr: this.stderr };
  }

  /** SIGTERM, and SIGKILL when that is not heeded. */
  async stop(graceMs = 10_000): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGTERM");
      await this.finish(graceMs);
    }
  }

  async waitForOutput(pattern: RegExp, timeoutMs: number): Promise<void> {
    await waitUntil(
      () => {
        if (this.child.exitCode !== null && !pattern.test(this.output)) {
          throw new Error(
            `the process ended with ${this.child.exitCode} before it printed ${pattern}:\n${this.output}`,
          );
        }
        return Promise.resolve(pattern.test(this.output));
      },
      { timeoutMs, what: `output ${pattern}`, evidence: () => this.output },
    );
  }
}

export function runToEnd(file: string, args: readonly string[], options: RunOptions): Promise<Finished> {
  return new TestProcess(file, args, options).finish(options.timeoutMs ?? 120_000);
}
