import type { Command } from "commander";
import type { CliContext } from "../context.ts";

export async function addRelayCommands(program: Command, context: CliContext): Promise<void> {
  const group = program.command("relay").summary("start a relay").description("Start a relay.");
  group
    .command("start")
    .description(
      "Stand between the containers of this machine's workers and the plane; Ctrl-C stops it. A worker starts one by itself.",
    )
    .action(() => startRelayProcess(context));
}

async function startRelayProcess(context: CliContext): Promise<void> {
  const { loadRelaySettings } = await import("../../../worker/relay/config.ts");
  const { runRelay } = await import("../../../worker/relay/run-relay.ts");
  const { PREFECT_API_URL } = context.config;
  await runRelay(loadRelaySettings({ ...context.sources.environment, PREFECT_API_URL }), context.signal);
}
