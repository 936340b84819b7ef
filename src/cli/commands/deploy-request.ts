import type { PrefectClient } from "../../client/prefect-client.ts";
import type { ReleaseRequest } from "../../release/release.ts";
import type { DeployOutput, DeployRequest } from "../../release/request.ts";
import type { CliContext } from "../context.ts";
import { buildDeployFlags, type DeployOptions } from "./deploy-options.ts";
import { findFacts, type ReleaseOptions } from "./release-options.ts";

/** What a command line says of a deploy. */
export function buildRequest(
  context: CliContext,
  client: PrefectClient,
  entrypoint: string | undefined,
  options: DeployOptions & Pick<ReleaseOptions, "push">,
  json: boolean,
): DeployRequest {
  return {
    root: context.workingDirectory,
    projectFile: options.prefectFile,
    selection: { names: options.name, all: options.all },
    flags: buildDeployFlags(entrypoint, options),
    images: { push: options.push ?? false },
    env: context.sources.environment,
    client,
    output: createDeployOutput(context, json),
    signal: context.signal,
  };
}

/** What it says of a release, which is all of the file where nothing is selected. */
export async function buildReleaseRequest(
  context: CliContext,
  client: PrefectClient,
  entrypoint: string | undefined,
  options: DeployOptions & ReleaseOptions,
  json: boolean,
): Promise<ReleaseRequest> {
  const saysNothing = options.name.length === 0 && entrypoint === undefined;
  return {
    ...buildRequest(context, client, entrypoint, { ...options, all: options.all || saysNothing }, json),
    ...(await findFacts(context, options)),
    client,
    adopt: options.adopt ?? false,
    prune: options.prune,
    isPreview: options.preview,
  };
}

function createDeployOutput({ output }: CliContext, json: boolean): DeployOutput {
  return {
    progress: (message) => output.say(output.paint("cyan", message, "stderr")),
    warn: (message) => output.warn(message),
    // Steps print for people; with --json stdout carries nothing but the result.
    write: (text) => output.raw(text, json ? "stderr" : "stdout"),
  };
}
