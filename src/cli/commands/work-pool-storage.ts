import type { Command } from "commander";
import { UserError } from "../../shared/errors.ts";
import type { CliContext } from "../context.ts";
import { addJsonOption, wantsJson } from "../options.ts";
import { getWorkPool } from "../work-pools.ts";

/** Where Prefect's clients put the bundles of flows that are submitted from Python. Images need none of it. */
export function addStorageCommands(group: Command, context: CliContext): void {
  const storage = group.command("storage").description("See where a work pool keeps bundles and results.");
  const inspect = storage
    .command("inspect")
    .description("Show the storage configuration of a work pool.")
    .argument("<name>");
  addJsonOption(inspect).action(async (name: string, options) => {
    const pool = await getWorkPool(await context.connect(), name);
    if (wantsJson(options)) {
      context.output.json(pool.storage_configuration);
      return;
    }
    if (Object.values(pool.storage_configuration).every((value) => value === null)) {
      context.output.say(`Work pool "${pool.name}" has no storage configured.`);
    }
    context.output.fields(pool.storage_configuration);
  });
  storage
    .command("configure")
    .description("Prefect's way to bundle Python code into a cloud bucket; not available here.")
    .argument("[words...]")
    .allowUnknownOption()
    .action(() => {
      throw new UserError("USAGE", "flowyard does not configure a work pool's storage.", {
        hint: "The bundles are Prefect's own: `prefect work-pool storage configure` works against this control plane.",
      });
    });
}
