import type { Command } from "commander";
import type { CliContext } from "../context.ts";

export async function addServerCommands(program: Command, _context: CliContext): Promise<void> {
  program.command("server").summary("start a control plane").description("Start a control plane.");
}
