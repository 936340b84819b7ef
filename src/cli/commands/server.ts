import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { z } from "zod";
import type { CliContext } from "../context.ts";
import { addJsonOption, wantsJson } from "../options.ts";

const Options = z.object({
  host: z.string().optional(),
  port: z.number().optional(),
  database: z.string().optional(),
  loops: z.boolean().default(true),
});
const DatabaseOption = z.object({ database: z.string().optional() });
const DATABASE_FLAG = "--database <file|url>";
const MAX_PORT = 65_535;

export async function addServerCommands(program: Command, context: CliContext): Promise<void> {
  const group = program
    .command("server")
    .summary("start a control plane, look after its database")
    .description("Start a control plane, and look after its database.");
  addDatabaseCommands(group, context);
  group
    .command("start")
    .description("Start a control plane in this process; Ctrl-C stops it.")
    .option("--host <address>", "address to listen on (default: 127.0.0.1; any other needs FLOWYARD_AUTH_STRING)")
    .option("--port <n>", "port to listen on; 0 takes a free one (default: 4200)", parsePort)
    .option(DATABASE_FLAG, "where everything is kept (default: flowyard.db in FLOWYARD_HOME)")
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

function addDatabaseCommands(group: Command, context: CliContext): void {
  const load = async (options: unknown) => {
    const { administerDatabase } = await import("../../server/administer-database.ts");
    return administerDatabase(context.sources.environment, DatabaseOption.parse(options).database);
  };
  const where = "the plane's database (default: flowyard.db in FLOWYARD_HOME)";
  group
    .command("backup <file>")
    .description("Copy a SQLite database into a new file, also while the plane is running.")
    .option(DATABASE_FLAG, where)
    .action(async (file: string, options: unknown) => {
      (await load(options)).backUp(file);
      context.output.success(`Backed up to ${file}`);
    });
  const database = group.command("database").description("Look at the plane's database, or upgrade its tables.");
  database
    .command("upgrade")
    .description("Make the tables or bring them up to date, as `server start` does before it listens.")
    .option(DATABASE_FLAG, where)
    .action(async (options: unknown) => {
      const administration = await load(options);
      await administration.upgrade();
      const { location, schema_version: version } = await administration.inspect();
      context.output.success(`${location} is at ${version}`);
    });
  addJsonOption(
    database
      .command("info")
      .description("Print the kind, place, version and size of the database, and how many rows its large tables have.")
      .option(DATABASE_FLAG, where),
  ).action(async (options) => {
    const { rows, ...info } = await (await load(options)).inspect();
    if (wantsJson(options)) {
      context.output.json({ ...info, rows });
    } else {
      context.output.fields({ ...info, ...rows });
    }
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
