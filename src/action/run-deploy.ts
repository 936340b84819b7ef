import { join } from "node:path";
import { deploy } from "../release/deploy.ts";
import type { Ending } from "./finish.ts";
import { connectServer } from "./server.ts";
import type { Step } from "./step.ts";
import type { Decision } from "./trigger.ts";

export async function runDeploy(step: Step, decision: Extract<Decision, { decision: "deploy" }>): Promise<Ending> {
  const { runner, inputs, config, environment, outputs, signal } = step;
  const client = connectServer(step);
  const [file = "prefect.yaml"] = inputs["prefect-file"];
  const { deployments } = await deploy({
    root: join(config.GITHUB_WORKSPACE ?? ".", file, ".."),
    projectFile: file.split("/").at(-1) ?? file,
    selection: { names: decision.deploy.deployments, all: decision.deploy.deployments.length === 0 },
    flags: {},
    env: environment,
    client,
    output: {
      progress: (message) => runner.info(message),
      warn: (message) => runner.warning(message),
      write: (text) => runner.info(text),
    },
    signal,
  });
  outputs.deployments = JSON.stringify(
    Object.fromEntries(deployments.map(({ flowName, name, id }) => [`${flowName}/${name}`, id])),
  );
  return { decision: "deploy", reason_code: "DEPLOYED", message: `Deployed ${deployments.length}.`, next_step: "" };
}
