import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { z } from "zod";
import type { CliContext } from "../context.ts";

const Options = z.object({
  host: z.string().optional(),
  port: z.number().optional(),
  database: z.string().optional(),
  loops: z.boolean().default(true),
});
const MAX_PORT = 65_535;

export async function addServerCommands(program: Command, context: CliContext): Promise<void> {
  const group = program.command("server").summary("start a control plane").description("Start a control plane.");
  group
    .command("start")
    .description("Start a control plane in this process; Ctrl-C stops it.")
    .option("--host <address>", "address to listen on (default: 127.0.0.1; any other needs FLOWYARD_AUTH_STRING)")
    .option("--port <n>", "port to listen on; 0 takes a free one (default: 4200)", parsePort)
    .option("--database <file|url>", "where everything is kept (default: flowyard.db in FLOWYARD_HOME)")
    .option("--no-loops", "only answer; another plane on the same database schedules and cleans up")
    .action(async (raw) => {
      const { parseServerSettings } = await import("../../server/config.ts");
      const { startServer } = await import("../../server/start-server.ts");
      const settings = parseServerSettings(context.sources.environment, {
        ...Options.parse(raw),
        onTerminal: context.output.stdoutIsTerminal,
      });
      const server = await startServer(settings);
      context.output.say(`The API is at ${server.apiUrl}`);
      context.output.say(`Use it from another terminal with: export PREFECT_API_URL=${server.apiUrl}`);
      await waitForAbort(context.signal);
      context.output.say("Stopping.");
      await server.stop();
    });
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > MAX_PORT) {
    throw new InvalidArgumentError(`It must be a port, 0 to ${MAX_PORT}.`);
  }
  return port;
}

function waitForAbort(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    } else {
      signal.addEventListener("abort", () => resolve(), { once: true });
    }
  });
}
