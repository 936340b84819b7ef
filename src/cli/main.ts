import { enableCompileCache } from "node:module";
import { join } from "node:path";

const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

// Stripped and compiled sources are kept: a command starts in half the time. Not being able to write them is no matter.
enableCompileCache(join(import.meta.dirname, "../../node_modules/.cache/flowyard-compile"));

async function main(): Promise<void> {
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
  // `flowyard … | head` closes the pipe early; that is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 70));

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
