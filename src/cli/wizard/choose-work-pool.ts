import type { PrefectClient } from "../../client/prefect-client.ts";
import { ObjectName } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import { askChoice, askText, askYesNo } from "../ask.ts";
import type { CliContext } from "../context.ts";

/** Prefect's agents take no deployments of a project. */
const AGENT_TYPE = "prefect-agent";

/** The name of a pool that the person picks, or makes when there is none. */
export async function chooseWorkPool(context: CliContext, client: PrefectClient): Promise<string> {
  const pools = (await client.workPools.list()).filter(({ type }) => type !== AGENT_TYPE);
  if (pools.length === 0) {
    return makeWorkPool(context, client);
  }
  return askChoice(
    "Which work pool would you like to deploy this flow to?",
    pools
      .toSorted((a, b) => a.name.localeCompare(b.name))
      .map(({ name, type, description }) => ({
        label: name,
        value: name,
        hint: [type, description ?? ""].filter((text) => text !== "").join(", "),
      })),
  );
}

async function makeWorkPool(context: CliContext, client: PrefectClient): Promise<string> {
  const question = "There is no work pool this flow can be deployed to. Would you like to create one?";
  if (!(await askYesNo(question, true))) {
    throw new UserError("DEPLOYMENT_INVALID", "A work pool is required to deploy this flow.", {
      hint: "Name one with --pool, or in prefect.yaml.",
    });
  }
  const types = (await client.server.listWorkerTypes()).filter(({ type }) => type !== AGENT_TYPE);
  const chosen = await askChoice(
    "What infrastructure type would you like to use for your new work pool?",
    types
      .toSorted((a, b) => a.type.localeCompare(b.type))
      .map((type) => ({ label: type.type, value: type, hint: type.description ?? "" })),
  );
  const name = await askText("Work pool name", {
    validate: (text) => (ObjectName.safeParse(text).success ? undefined : "It must not contain /, %, &, > or <."),
  });
  await client.workPools.create({
    name,
    type: chosen.type,
    base_job_template: chosen.default_base_job_configuration,
  });
  context.output.success(`Created work pool "${name}" of type ${chosen.type}.`);
  return name;
}
