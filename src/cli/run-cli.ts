import { Command } from "commander";
import { FLOWYARD_VERSION } from "../client/version.ts";
import { UserError } from "../shared/errors.ts";
import {
  buildUnknownCommand,
  extractGlobalOptions,
  findNoun,
  type GlobalOptions,
  resolveCommandNames,
} from "./arguments.ts";
import { COMMANDS } from "./command-table.ts";
import { type CliConfig, loadConfigSources, parseCliConfig } from "./config.ts";
import type { CliContext } from "./context.ts";
import { createOutput, type Output, type TextStream } from "./output.ts";
import { reportError } from "./report-error.ts";

/** The process as a command sees it. */
export interface CliWorld {
  argv: string[];
  env: NodeJS.ProcessEnv;
  stdout: TextStream;
  stderr: TextStream;
  stdin: AsyncIterable<unknown> & { isTTY?: boolean | undefined };
  workingDirectory: string;
  signal: AbortSignal;
}

/** Runs one command line to its end and answers with the exit code; never throws. */
export async function runCli(world: CliWorld): Promise<number> {
  const { NO_COLOR = "", TERM } = world.env;
  const colors = NO_COLOR === "" && TERM !== "dumb";
  const output = createOutput({ stdout: world.stdout, stderr: world.stderr, colors });
  try {
    return await runCommand(world, output);
  } catch (error) {
    // What a stopped command throws is no failure; main says which signal it was.
    return world.signal.aborted ? 1 : reportError(output, error);
  }
}

async function runCommand(world: CliWorld, output: Output): Promise<number> {
  const globals = extractGlobalOptions(world.argv);
  const program = createProgram(output);
  const words = moveHelp(globals.rest);
  const first = words[0];
  if (first === undefined || first.startsWith("-")) {
    for (const { name, summary } of COMMANDS) {
      program.command(name).summary(summary);
    }
    program.version(FLOWYARD_VERSION, "-V, --version", "print the version");
    if (first === undefined) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync(words, { from: "user" });
    return 0;
  }
  const entry = findNoun(COMMANDS, first);
  if (entry === undefined) {
    const names = COMMANDS.map(({ name }) => name);
    throw buildUnknownCommand(first, program.name(), names);
  }
  const context = createContext(world, output, globals);
  await entry.add(program, context);
  await program.parseAsync(resolveCommandNames(program, words), { from: "user" });
  return context.exitCode;
}

/** `help work-pool create` is `work-pool create --help`. */
function moveHelp(words: string[]): string[] {
  return words[0] === "help" ? [...words.slice(1), "--help"] : words;
}

function createProgram(output: Output): Command {
  return new Command("flowyard")
    .description("Turns a repository of Prefect flows into running deployments.")
    .helpCommand(false)
    .exitOverride()
    .showHelpAfterError("(see --help)")
    .configureOutput({
      writeOut: (text) => output.line(text.trimEnd()),
      writeErr: (text) => output.say(text.trimEnd()),
      outputError: (text) => output.error(text.trimEnd().replace(/^error:( command-argument)?/, "Error:")),
    })
    .addHelpText(
      "after",
      [
        "",
        "Every command also takes:",
        "  --profile <name>        settings of that profile for this command",
        "  --prompt, --no-prompt   whether to ask questions (default: only on a terminal)",
      ].join("\n"),
    );
}

function createContext(world: CliWorld, output: Output, globals: GlobalOptions): CliContext {
  const sources = loadConfigSources(world.env, globals.profileName);
  let config: CliConfig | undefined;
  const onTerminal = world.stdin.isTTY === true && output.stderrIsTerminal;
  if (globals.prompt === true && !onTerminal) {
    throw new UserError("USAGE", "--prompt needs a terminal to ask on, and there is none.");
  }
  return {
    sources,
    get config() {
      config ??= parseCliConfig(sources);
      return config;
    },
    output,
    signal: world.signal,
    get interactive() {
      return onTerminal && (globals.prompt ?? this.config.PREFECT_CLI_PROMPT ?? true);
    },
    workingDirectory: world.workingDirectory,
    async readStandardInput() {
      const chunks: string[] = [];
      for await (const chunk of world.stdin) {
        chunks.push(String(chunk));
      }
      return chunks.join("");
    },
    async connect() {
      const { createPrefectClient } = await import("../client/prefect-client.ts");
      return createPrefectClient({
        apiUrl: this.config.PREFECT_API_URL,
        authString: this.config.PREFECT_API_AUTH_STRING,
        apiKey: this.config.PREFECT_API_KEY,
        signal: world.signal,
      });
    },
    exitCode: 0,
  };
}
