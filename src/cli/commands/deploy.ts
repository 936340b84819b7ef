import type { Command } from "commander";
import type { PrefectClient } from "../../client/prefect-client.ts";
import type { DeployedDeployment, DeployOutput, DeployRequest } from "../../release/request.ts";
import type { CliContext } from "../context.ts";
import { addJsonOption, wantsJson } from "../options.ts";
import { quoteForShell } from "../show.ts";
import { addDeployOptions, buildDeployFlags, DeployOptions } from "./deploy-options.ts";

export async function addDeployCommand(program: Command, context: CliContext): Promise<void> {
  const command = addDeployOptions(
    program
      .command("deploy")
      .summary("build and register the deployments of prefect.yaml, or one flow")
      .description(
        "Build and register the deployments of prefect.yaml, or one flow.\n" +
          "On a terminal, what is missing is asked; --no-prompt asks nothing.",
      ),
  );
  addJsonOption(command).action(async (entrypoint: string | undefined, raw) => {
    const options = DeployOptions.parse(raw);
    await runDeploy(context, entrypoint, options, wantsJson(raw));
  });
}

async function runDeploy(
  context: CliContext,
  entrypoint: string | undefined,
  options: DeployOptions,
  json: boolean,
): Promise<void> {
  const { deploy } = await import("../../release/deploy.ts");
  const client = await context.connect();
  const given: DeployRequest = {
    root: context.workingDirectory,
    projectFile: options.prefectFile,
    selection: { names: options.name, all: options.all },
    flags: buildDeployFlags(entrypoint, options),
    env: context.sources.environment,
    client,
    output: createDeployOutput(context, json),
    signal: context.signal,
  };
  const request = context.interactive ? await complete(context, client, given) : given;
  const { deployments } = await deploy(request);
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

function createDeployOutput({ output }: CliContext, json: boolean): DeployOutput {
  return {
    progress: (message) => output.say(output.paint("cyan", message, "stderr")),
    warn: (message) => output.warn(message),
    // Steps print for people; with --json stdout carries nothing but the result.
    write: (text) => output.raw(text, json ? "stderr" : "stdout"),
  };
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
