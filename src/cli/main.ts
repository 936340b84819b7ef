import { enableCompileCache } from "node:module";
import { join } from "node:path";

const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

// Stripped and compiled sources are kept: a command starts in half the time. Not being able to write them is no matter.
enableCompileCache(join(import.meta.dirname, "../../node_modules/.cache/flowyard-compile"));

/** The one answer that needs nothing else loaded, and that scripts ask for most. */
async function printVersion(): Promise<void> {
  const { FLOWYARD_VERSION } = await import("../client/version.ts");
  const { createOutput } = await import("./output.ts");
  createOutput({ stdout: process.stdout, stderr: process.stderr, colors: false }).line(FLOWYARD_VERSION);
}

async function main(): Promise<void> {
  if (process.argv.length === 3 && ["--version", "-V"].includes(process.argv[2] ?? "")) {
    await printVersion();
    return;
  }
  const { readEnvironment } = await import("./config.ts");
  const { runCli } = await import("./run-cli.ts");
  const stop = new AbortController();
  let stoppedBy: keyof typeof SIGNAL_EXIT_CODES | undefined;
  const onSignal = (signal: keyof typeof SIGNAL_EXIT_CODES) => {
    if (stoppedBy !== undefined) {
      // Asked twice: the person does not want to wait for an orderly end.
      process.exit(SIGNAL_EXIT_CODES[signal]);
    }
    stoppedBy = signal;
    stop.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // `flowyard … | head` closes the pipe early; that is no error. A full disk behind it is, and nobody's bug.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      process.stderr.write(`Error: the output cannot be written: ${error.message}\n`);
    }
    process.exit(error.code === "EPIPE" ? 0 : 1);
  });
  // Where nobody reads the messages, the exit code has to do.
  process.stderr.on("error", () => undefined);

  const exitCode = await runCli({
    argv: process.argv.slice(2),
    env: readEnvironment(),
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    workingDirectory: process.cwd(),
    signal: stop.signal,
  });
  process.exitCode = stoppedBy === undefined || exitCode === 0 ? exitCode : SIGNAL_EXIT_CODES[stoppedBy];
  process.removeListener("SIGINT", onSignal);
  process.removeListener("SIGTERM", onSignal);
}

await main();
