import type { Command } from "commander";
import type { CliContext } from "../context.ts";

export async function addWorkerCommands(program: Command, _context: CliContext): Promise<void> {
  program.command("worker").summary("start a worker").description("Start a worker.");
}
