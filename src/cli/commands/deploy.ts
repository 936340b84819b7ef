import type { Command } from "commander";
import type { z } from "zod";
import type { PrefectClient } from "../../client/prefect-client.ts";
import type { DeployedDeployment, DeployRequest } from "../../release/request.ts";
import type { CliContext } from "../context.ts";
import { addJsonOption, wantsJson } from "../options.ts";
import { quoteForShell } from "../show.ts";
import { countChanges, printChanges } from "../show-changes.ts";
import { addDeployOptions, DeployOptions } from "./deploy-options.ts";
import { buildReleaseRequest, buildRequest } from "./deploy-request.ts";
import { addReleaseOptions, ReleaseOptions } from "./release-options.ts";

const Options = DeployOptions.extend(ReleaseOptions.shape);
type Options = z.infer<typeof Options>;

export async function addDeployCommand(program: Command, context: CliContext): Promise<void> {
  const command = addReleaseOptions(
    addDeployOptions(
      program
        .command("deploy")
        .summary("build and register the deployments of prefect.yaml, or one flow")
        .description(
          "Build and register the deployments of prefect.yaml, or one flow.\n" +
            "On a terminal, what is missing is asked; --no-prompt asks nothing.\n\n" +
            "With --environment, --plan-hash, --adopt, --prune or --preview the whole file is applied as one release: all of it or\n" +
            "nothing, with a history to roll back to.",
        ),
    ),
  ).option("--plan-hash <hash>", "release only what `flowyard plan` showed with this hash");
  addJsonOption(command).action(async (entrypoint: string | undefined, raw) => {
    const options = Options.parse(raw);
    await (isRelease(options) ? runRelease : runDeploy)(context, entrypoint, options, wantsJson(raw));
  });
}

/**
 * A release is the whole file and prunes what the file lacks; `deploy -n one` has to go on doing what Prefect's does.
 * So only who says something that means a release gets one.
 */
function isRelease({ environment, repository, projectPath, planHash, adopt, prune, preview }: Options): boolean {
  return [environment, repository, projectPath, planHash, adopt, prune, preview].some((value) => value !== undefined);
}

async function runRelease(
  context: CliContext,
  entrypoint: string | undefined,
  options: Options,
  json: boolean,
): Promise<void> {
  const { release } = await import("../../release/release.ts");
  const client = await context.connect();
  const request = await buildReleaseRequest(context, client, entrypoint, options, json);
  const result = await release(request, options.planHash);
  if (json) {
    context.output.json(result);
    return;
  }
  printChanges(context.output, result.changes);
  const { scope } = request;
  const number = result.release === null ? "" : `Release ${result.release.number} of `;
  context.output.success(
    result.changed
      ? `${number}${scope.repository}, environment ${scope.environment}: ${countChanges(result.changes, true)}.`
      : `${scope.repository}, environment ${scope.environment}: nothing to do.`,
  );
}

async function runDeploy(
  context: CliContext,
  entrypoint: string | undefined,
  options: Options,
  json: boolean,
): Promise<void> {
  const { deploy } = await import("../../release/deploy.ts");
  const client = await context.connect();
  const given = buildRequest(context, client, entrypoint, options, json);
  const request = context.interactive ? await complete(context, client, given) : given;
  const sayWhatStays = () =>
    context.output.say(
      'Stopped. Nothing is registered but what a line "Deploying …" named; the same deploy can be repeated.',
    );
  context.signal.addEventListener("abort", sayWhatStays, { once: true });
  const { deployments } = await deploy(request);
  context.signal.removeEventListener("abort", sayWhatStays);
  if (json) {
    context.output.json(deployments.map(({ save: _save, ...deployed }) => deployed));
    return;
  }
  for (const deployed of deployments) {
    announce(context, deployed);
  }
  const [only, ...others] = deployments;
  if (context.interactive && only !== undefined && others.length === 0) {
    const { offerToSave } = await import("../wizard/offer-to-save.ts");
    await offerToSave(context, request, only);
  }
  for (const deployed of deployments) {
    suggestNext(context, deployed);
  }
}

async function complete(context: CliContext, client: PrefectClient, request: DeployRequest): Promise<DeployRequest> {
  const { completeRequest } = await import("../wizard/complete-request.ts");
  return completeRequest(context, client, request);
}

function announce({ output }: CliContext, deployed: DeployedDeployment): void {
  const fullName = `${deployed.flowName}/${deployed.name}`;
  output.success(`${deployed.created ? "Created" : "Updated"} deployment "${fullName}".`);
  if (!output.stdoutIsTerminal) {
    output.line(`${fullName}\t${deployed.id}`);
  }
}

function suggestNext({ output }: CliContext, { flowName, name, hasWorker, workPoolName }: DeployedDeployment): void {
  if (!hasWorker) {
    output.say(`No worker is online for it. Start one: flowyard worker start --pool ${quoteForShell(workPoolName)}`);
  }
  output.say(`Run it: flowyard deployment run ${quoteForShell(`${flowName}/${name}`)}`);
}
