import type { PrefectClient } from "../../client/prefect-client.ts";
import { ObjectName } from "../../prefect-api/primitives.ts";
import { isMapping } from "../../prefect-api/templating.ts";
import { BUILD_IMAGE_STEP, findActions } from "../../project/actions.ts";
import { hasErrors, loadProject, type Project, type ProjectEntry } from "../../project/load.ts";
import type { DeployFlags } from "../../project/overlay.ts";
import type { DeploymentEntry } from "../../project/schema.ts";
import { selectEntries } from "../../project/select.ts";
import type { DeployRequest } from "../../release/request.ts";
import { askChoice, askText } from "../ask.ts";
import type { CliContext } from "../context.ts";
import { askImage, hasFreeImage } from "./ask-image.ts";
import { askSchedules } from "./ask-schedules.ts";
import { chooseFlow } from "./choose-flow.ts";
import { chooseWorkPool } from "./choose-work-pool.ts";

/**
 * Asks for what a deploy of one deployment lacks, in the order of Prefect's wizard, and answers with the request that
 * flags would have made. A deployment that the file has is asked only for what it cannot do without.
 */
export async function completeRequest(
  context: CliContext,
  client: PrefectClient,
  request: DeployRequest,
): Promise<DeployRequest> {
  const project = await loadProject(request.root, request.projectFile);
  if (hasErrors([...project.problems, ...project.entries.flatMap(({ problems }) => problems)])) {
    return request; // The deploy itself says what is wrong.
  }
  // Nobody should answer questions for a plane that is away or refuses the credentials.
  await client.workPools.list(undefined, { limit: 1 });
  const selection = await chooseSelection(project, request);
  const { entries, names, many } = selectEntries(project, { ...selection, canCreate: true }, request.env);
  if (many) {
    return { ...request, selection };
  }
  return askForOne(context, client, { ...request, selection }, { project, entry: entries[0], name: names[0] });
}

/** Several deployments and no name: which one, or a new one? */
async function chooseSelection(project: Project, request: DeployRequest): Promise<DeployRequest["selection"]> {
  const { selection, flags } = request;
  const nothingSaid = selection.names.length === 0 && !selection.all && flags.entrypoint === undefined;
  if (project.entries.length < 2 || !nothingSaid) {
    return selection;
  }
  const picked = await askChoice<number | undefined>("Would you like to use an existing deployment configuration?", [
    ...project.entries.map(({ index, label, entrypoint }) => ({ label, value: index, hint: entrypoint ?? "" })),
    { label: "No, configure a new deployment", value: undefined },
  ]);
  if (picked !== undefined) {
    return { ...selection, picked: [picked] };
  }
  return { ...selection, names: [await askName(project.entries.map(({ name }) => name ?? ""))] };
}

function askName(taken: readonly string[]): Promise<string> {
  return askText("Deployment name", {
    initial: "default",
    validate: (text) =>
      taken.includes(text)
        ? "The file has a deployment of this name."
        : ObjectName.safeParse(text).success
          ? undefined
          : "It must not contain /, %, &, > or <.",
  });
}

interface Chosen {
  project: Project;
  /** Undefined for a new deployment. */
  entry: ProjectEntry | undefined;
  /** Of the flags, or just asked. */
  name: string | undefined;
}

async function askForOne(
  context: CliContext,
  client: PrefectClient,
  request: DeployRequest,
  { project, entry, name: givenName }: Chosen,
): Promise<DeployRequest> {
  const written: DeploymentEntry = entry?.entry ?? {};
  const flags: DeployFlags = { ...request.flags };
  if (flags.entrypoint === undefined && !written.entrypoint) {
    flags.entrypoint = await chooseFlow(context);
  }
  let name = givenName ?? written.name ?? undefined;
  let { selection } = request;
  if (name === undefined) {
    name = await askName([]);
    selection = { ...selection, names: [name] };
  }
  if (entry === undefined && !hasSchedules(flags)) {
    Object.assign(flags, await askSchedules());
  }
  const poolName = flags.workPool ?? written.work_pool?.name ?? context.config.PREFECT_DEFAULT_WORK_POOL_NAME;
  if (poolName === undefined) {
    flags.workPool = await chooseWorkPool(context, client);
  }
  const pool = await client.workPools.find(poolName ?? flags.workPool ?? "");
  const asked = { ...request, selection, flags };
  const build = findActions(project.head, written, "build", []).steps;
  const buildsImage = build.some((step) => BUILD_IMAGE_STEP in step);
  if (entry !== undefined || buildsImage || pool === undefined || !hasFreeImage(pool)) {
    return asked;
  }
  const image = await askImage(context, pool, name.slice(name.indexOf("/") + 1));
  if (image === undefined) {
    return asked;
  }
  const answered = Object.entries(image.jobVariables).map(([key, value]) => `${key}=${value}`);
  const jobVariables = hasImage(flags) ? flags.jobVariables : [...answered, ...(flags.jobVariables ?? [])];
  return {
    ...asked,
    flags: { ...flags, ...(jobVariables === undefined ? {} : { jobVariables }) },
    additions: { build: image.build, push: image.push },
  };
}

function hasSchedules({ cron = [], interval = [], rrule = [] }: DeployFlags): boolean {
  return cron.length + interval.length + rrule.length > 0;
}

function hasImage({ jobVariables = [] }: DeployFlags): boolean {
  return jobVariables.some((text) => {
    if (!text.trimStart().startsWith("{")) {
      return text.startsWith("image=");
    }
    try {
      const value: unknown = JSON.parse(text);
      return isMapping(value) && "image" in value;
    } catch {
      return false;
    }
  });
}
