import { createHash } from "node:crypto";
import { readPreviewNumber } from "../flowyard-api/releases.ts";
import { UserError } from "../shared/errors.ts";
import type { ActionConfig } from "./config.ts";
import type { Decision, DeployRequest, IgnoreCode, PullRequestRef } from "./decision.ts";
import type { Event } from "./event.ts";
import type { Inputs } from "./inputs.ts";

export type TriggerConfig = Pick<
  ActionConfig,
  "GITHUB_REPOSITORY" | "GITHUB_ACTOR" | "GITHUB_RUN_ID" | "GITHUB_JOB" | "GITHUB_ACTION"
>;
export type TriggerInputs = Pick<
  Inputs,
  "mode" | "environment" | "deployments" | "run" | "parameters" | "wait" | "timeout" | "preview" | "release"
>;

export interface Trigger {
  event: Event;
  config: TriggerConfig;
  inputs: TriggerInputs;
}

const DEFAULT_ENVIRONMENT = "production";

/** What `mode` and `run` say, or else what the event asks for. */
export function decideByMode(trigger: Trigger, decideByEvent: () => Decision, pullRequest?: PullRequestRef): Decision {
  const { inputs, config } = trigger;
  if (inputs.run !== undefined) {
    const parameters = inputs.parameters ?? {};
    const idempotencyKey = buildIdempotencyKey(config, inputs.run, parameters);
    const { run: deployment, wait, timeout: timeoutSeconds } = inputs;
    return { decision: "run", run: { deployment, parameters, idempotencyKey, wait, timeoutSeconds }, reply: undefined };
  }
  switch (inputs.mode) {
    case "auto":
      return decideByEvent();
    case "deploy":
      return inputs.preview && pullRequest !== undefined
        ? buildPreview(inputs, pullRequest)
        : { ...buildDeploy(inputs), pullRequest };
    case "plan":
      return { decision: "plan", deploy: buildDeployRequest(inputs), pullRequest };
    case "drift":
      return { decision: "drift", deploy: buildDeployRequest(inputs) };
    case "rollback":
      return { decision: "rollback", deploy: buildDeployRequest(inputs), to: inputs.release };
    case "remove-preview":
      return decideRemoval(inputs);
    case "run":
      throw new UserError("INPUT_INVALID", "mode is run, and the input run names no deployment.", {
        hint: "Add run: flow/name to the step.",
      });
    default:
      return inputs.mode satisfies never;
  }
}

export function buildDeploy(inputs: TriggerInputs): Extract<Decision, { decision: "deploy" }> {
  return {
    decision: "deploy",
    deploy: buildDeployRequest(inputs),
    expectedSha: undefined,
    reply: undefined,
    pullRequest: undefined,
  };
}

export function buildDeployRequest({
  environment,
  deployments,
}: Pick<TriggerInputs, "environment" | "deployments">): DeployRequest {
  return { environment: environment ?? DEFAULT_ENVIRONMENT, deployments, isPreview: false };
}

/** Into an environment of its own, whatever the input says: that one is for the other events. */
export function buildPreview(inputs: TriggerInputs, pullRequest: PullRequestRef): Decision {
  return { ...buildDeploy(inputs), deploy: nameEnvironment(pullRequest.number, inputs.deployments), pullRequest };
}

export function buildRemoval(pullRequest: PullRequestRef): Decision {
  return { decision: "remove", deploy: nameEnvironment(pullRequest.number, []), pullRequest };
}

function nameEnvironment(number: number, deployments: string[]): DeployRequest {
  return { environment: `pr-${number}`, deployments, isPreview: true };
}

/** Where no pull request says which one. */
function decideRemoval({ environment }: TriggerInputs): Decision {
  const number = readPreviewNumber(environment ?? "");
  if (number === undefined) {
    throw new UserError(
      "INPUT_INVALID",
      `mode is remove-preview, and the input environment is ${JSON.stringify(environment ?? "")}, which is no preview.`,
      { hint: "Name one, such as environment: pr-7; on pull_request the event names it." },
    );
  }
  return { decision: "remove", deploy: nameEnvironment(number, []), pullRequest: undefined };
}

export function ignore(reason_code: IgnoreCode, message: string, next_step: string): Decision {
  return { decision: "ignore", reason_code, message, next_step };
}

/** A matrix starts the same step several times with other parameters; they count. The attempt does not. */
export function buildIdempotencyKey(
  config: TriggerConfig,
  deployment: string,
  parameters: Record<string, unknown>,
): string {
  const parts = [config.GITHUB_REPOSITORY, config.GITHUB_RUN_ID, config.GITHUB_JOB, config.GITHUB_ACTION, deployment];
  const digest = createHash("sha256")
    .update(JSON.stringify([...parts, parameters]))
    .digest("hex");
  return `github-${config.GITHUB_RUN_ID ?? "run"}-${digest.slice(0, 32)}`;
}
