import type { PrefectClient } from "../client/prefect-client.ts";
import type { CliConfig, ConfigSources } from "./config.ts";
import type { Output } from "./output.ts";

/** What every command gets: the world outside it. */
export interface CliContext {
  sources: ConfigSources;
  /** Checked when first read; throws UserError CONFIG_INVALID. */
  readonly config: CliConfig;
  output: Output;
  /** Aborts on SIGINT and SIGTERM. */
  signal: AbortSignal;
  /** Whether questions may be asked: a terminal, and neither --no-prompt nor PREFECT_CLI_PROMPT=0. */
  interactive: boolean;
  /** Folder that relative paths start from. */
  workingDirectory: string;
  readStandardInput(): Promise<string>;
  connect(): Promise<PrefectClient>;
  /** What the process exits with when the command ends without an error. */
  exitCode: number;
}
