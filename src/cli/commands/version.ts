import type { Command } from "commander";
import { FLOWYARD_VERSION } from "../../client/version.ts";
import { API_VERSION } from "../../prefect-api/primitives.ts";
import { errorMessage } from "../../shared/errors.ts";
import type { CliContext } from "../context.ts";
import { addJsonOption, wantsJson } from "../options.ts";

export async function addVersionCommand(program: Command, context: CliContext): Promise<void> {
  const command = program
    .command("version")
    .summary("print the versions of this program and of the control plane")
    .description("Print the versions of this program and of the control plane.");
  addJsonOption(command).action(async (options) => {
    const client = await context.connect();
    // A plane that is away is part of the answer here, not a failure.
    const server = await client.server.getVersion().then(
      (version) => ({ version, problem: undefined }),
      (error: unknown) => ({ version: undefined, problem: errorMessage(error) }),
    );
    const versions = {
      flowyard: FLOWYARD_VERSION,
      node: process.versions.node,
      api_version: API_VERSION,
      api_url: client.apiUrl,
      server_prefect_version: server.version,
      server_problem: server.problem,
    };
    if (wantsJson(options)) {
      context.output.json(versions);
    } else {
      context.output.fields(versions);
    }
  });
}
