import { spawn } from "node:child_process";

interface CommandOptions {
  cwd?: string;
  /** Added to the environment of this process. */
  env?: Record<string, string>;
  timeoutMs?: number;
}

export interface CommandResult {
  /** Exit code; 127 when the program does not exist, 124 when it ran out of time. */
  code: number;
  stdout: string;
  /** Both outputs as they came. */
  output: string;
  /** Its last lines, for a message. */
  tail: string;
}

/** Runs a program to its end with its output kept; a failure is a result, not an exception. */
export function runCommand(file: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      // biome-ignore lint/style/noProcessEnv: handed on whole to a child, nothing is read from it
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let both = "";
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, options.timeoutMs ?? 600_000);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      both += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      both += text;
    });
    const finish = (code: number, note = "") => {
      clearTimeout(timer);
      const output = `${both}${note}`.trim();
      resolve({ code, stdout: stdout.trim(), output, tail: output.split("\n").slice(-12).join("\n") });
    };
    child.on("error", (error) => finish(127, error.message));
    child.on("close", (code) => finish(timedOut ? 124 : (code ?? 1), timedOut ? "\n(ran out of time)" : ""));
  });
}
