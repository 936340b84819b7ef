import type { Command } from "commander";
import { z } from "zod";
import type { PrefectClient } from "../../client/prefect-client.ts";
import { UserError } from "../../shared/errors.ts";
import { askChoice } from "../ask.ts";
import type { CliContext } from "../context.ts";
import { loadJsonFile } from "../files.ts";
import { parseWholeNumber } from "../options.ts";
import { saveSetting } from "../settings.ts";
import { quoteForShell } from "../show.ts";
import { getWorkerType } from "../work-pools.ts";

const Options = z.object({
  type: z.string().optional(),
  baseJobTemplate: z.string().optional(),
  paused: z.boolean().default(false),
  overwrite: z.boolean().default(false),
  setAsDefault: z.boolean().default(false),
  concurrencyLimit: z.number().optional(),
  description: z.string().optional(),
});
type Options = z.infer<typeof Options>;

export function addWorkPoolCreateCommand(group: Command, context: CliContext): void {
  group
    .command("create")
    .description("Create a work pool.")
    .argument("<name>")
    .option("-t, --type <type>", "where its runs run: docker, process, …")
    .option("--base-job-template <file>", "JSON file with the base job template (default: the type's own)")
    .option("--concurrency-limit <n>", "runs at the same time", parseWholeNumber(0))
    .option("--description <text>")
    .option("--paused", "hand out no runs yet")
    .option("--overwrite", "update the pool when it exists")
    .option("--set-as-default", "use it for deployments that name no pool")
    .action(async (name: string, raw) => {
      const options = Options.parse(raw);
      const template =
        options.baseJobTemplate === undefined
          ? undefined
          : await loadJsonFile(context, options.baseJobTemplate, "--base-job-template");
      await createOrUpdate(context, name, options, template);
      if (options.setAsDefault) {
        saveSetting(context.sources, "PREFECT_DEFAULT_WORK_POOL_NAME", name);
        context.output.say(`"${name}" is now the default work pool of profile "${context.sources.profileName}".`);
      }
    });
}

async function createOrUpdate(
  context: CliContext,
  name: string,
  options: Options,
  template: Record<string, unknown> | undefined,
): Promise<void> {
  const client = await context.connect();
  const existing = await client.workPools.find(name);
  if (existing !== undefined && !options.overwrite) {
    throw new UserError("ALREADY_EXISTS", `There is already a work pool "${name}" (type ${existing.type}).`, {
      hint: "Add --overwrite to update it.",
    });
  }
  if (existing !== undefined && options.type !== undefined && options.type !== existing.type) {
    const hint = "Delete the pool and create it again, or choose another name.";
    const message = `Work pool "${name}" has type ${existing.type}, which cannot become ${options.type}.`;
    throw new UserError("WORK_POOL_TYPE_MISMATCH", message, { hint });
  }
  const common = {
    ...(options.concurrencyLimit === undefined ? {} : { concurrency_limit: options.concurrencyLimit }),
    ...(options.description === undefined ? {} : { description: options.description }),
  };
  if (existing !== undefined) {
    const base_job_template = template ?? (await getWorkerType(client, existing.type)).default_base_job_configuration;
    await client.workPools.update(name, { ...common, base_job_template, is_paused: options.paused });
    context.output.success(`Updated work pool "${name}".`);
    return;
  }
  const type = options.type ?? (await chooseType(context, client));
  const metadata = await getWorkerType(client, type);
  await client.workPools.create({
    ...common,
    name,
    type,
    base_job_template: template ?? metadata.default_base_job_configuration,
    is_paused: options.paused,
  });
  context.output.success(`Created work pool "${name}" of type ${type}.`);
  context.output.say(`Start a worker for it with: flowyard worker start --pool ${quoteForShell(name)}`);
}

async function chooseType(context: CliContext, client: PrefectClient): Promise<string> {
  const types = (await client.server.listWorkerTypes()).toSorted((a, b) => a.type.localeCompare(b.type));
  if (!context.interactive) {
    throw new UserError("USAGE", "A work pool needs a type, and --type is missing.", {
      hint: `Types: ${types.map(({ type }) => type).join(", ")}.`,
    });
  }
  const choices = types.map(({ type, description }) => ({ label: type, value: type, hint: description ?? "" }));
  return askChoice("Which type of work pool?", choices);
}
