import { spawn } from "node:child_process";
import { StringDecoder } from "node:string_decoder";
import type { Environment } from "../../project/template.ts";
import { errorMessage, UserError } from "../../shared/errors.ts";

/** More output than this in one step is a mistake, and would fill the memory. */
const MAX_OUTPUT_CHARACTERS = 16 * 1024 * 1024;

interface ProcessRequest {
  command: string;
  args: readonly string[];
  /** The command is text for the system's shell; `args` is empty then. */
  shell?: boolean;
  directory: string;
  env: Environment;
  signal: AbortSignal;
  onOutput: (text: string) => void;
}

interface Finished {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program to its end and collects what it writes. Any exit code is an answer.
 * Throws UserError STEP_FAILED when it cannot be started, is killed or writes too much.
 */
export function runProcess(request: ProcessRequest): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const collected = { stdout: "", stderr: "" };
    let tooMuch = false;
    const child = spawn(request.command, [...request.args], {
      cwd: request.directory,
      env: { ...request.env },
      shell: request.shell ?? false,
      stdio: ["ignore", "pipe", "pipe"],
      signal: request.signal,
    });
    for (const name of ["stdout", "stderr"] as const) {
      const decoder = new StringDecoder("utf8");
      child[name].on("data", (chunk: Buffer) => {
        const text = decoder.write(chunk);
        collected[name] += text;
        request.onOutput(text);
        if (collected[name].length > MAX_OUTPUT_CHARACTERS && !tooMuch) {
          tooMuch = true;
          child.kill("SIGKILL");
        }
      });
    }
    child.once("error", (cause) => reject(buildStartError(request, cause)));
    child.once("close", (code, signal) => {
      if (tooMuch) {
        reject(new UserError("STEP_FAILED", `it wrote more than ${MAX_OUTPUT_CHARACTERS} characters.`));
      } else if (code === null) {
        reject(new UserError("STEP_FAILED", `${JSON.stringify(request.command)} was ended by ${signal}.`));
      } else {
        resolve({ exitCode: code, ...collected });
      }
    });
  });
}

function buildStartError(request: ProcessRequest, cause: Error): Error {
  if (request.signal.aborted) {
    return cause;
  }
  const missing = "code" in cause && cause.code === "ENOENT";
  const message = missing
    ? `${JSON.stringify(request.command)} cannot be started: there is no such program, or no folder ${request.directory}.`
    : `${JSON.stringify(request.command)} cannot be started: ${errorMessage(cause)}`;
  return new UserError("STEP_FAILED", message, { cause });
}
