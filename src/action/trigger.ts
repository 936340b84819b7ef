import { UserError } from "../shared/errors.ts";
import {
  buildDeploy,
  buildDeployRequest,
  buildIdempotencyKey,
  buildPreview,
  buildRemoval,
  decideByMode,
  ignore,
  type Trigger,
  type TriggerConfig,
  type TriggerInputs,
} from "./decide-by-mode.ts";
import type { Decision, RunRequest } from "./decision.ts";
import { DeployPayload, parsePayload, RunPayload } from "./dispatch-payload.ts";
import type { Event } from "./event.ts";

const QUEUE_REF = /^refs\/heads\/gh-readonly-queue\//;
const ZERO_SHA = /^0+$/;
/** Types of pull_request that change what a plan says. */
const PLANNED_ACTIONS: ReadonlySet<string> = new Set([
  "opened",
  "synchronize",
  "reopened",
  "ready_for_review",
  "edited",
]);

/**
 * Decides what an event asks for. `mode` overrides it, but never what keeps strangers out: a comment, a fork, a
 * privileged event, a deleted branch and a branch of the merge queue stay what they are.
 * Throws UserError EVENT_REFUSED, PAYLOAD_INVALID, ENVIRONMENT_MISMATCH, INPUT_INVALID.
 */
export function decideTrigger(event: Event, config: TriggerConfig, inputs: TriggerInputs): Decision {
  const trigger = { event, config, inputs };
  switch (event.name) {
    case "push":
      return decidePush(event, trigger);
    case "pull_request":
      return decidePullRequest(event, trigger);
    case "pull_request_target":
      throw new UserError(
        "EVENT_REFUSED",
        "pull_request_target runs with the rights of the default branch for everybody's pull requests.",
        { hint: "Use `on: pull_request`; a plan needs no more rights than that event has." },
      );
    case "issue_comment":
      return ignore(
        "COMMENT_IGNORED",
        "Comments start nothing here.",
        "Run this step on push, pull_request or repository_dispatch.",
      );
    case "repository_dispatch":
      return decideDispatch(event, trigger);
    case "workflow_dispatch":
      return decideByMode(trigger, () => buildDeploy(inputs));
    case "schedule":
      return decideByMode(trigger, () => ({ decision: "drift", deploy: buildDeployRequest(inputs) }));
    case "workflow_run":
      return decideWorkflowRun(event, trigger);
    case "merge_group":
      // A required check must answer here, or the queue waits for it in vain.
      return { decision: "plan", deploy: buildDeployRequest(inputs), pullRequest: undefined };
    case "other":
      return decideByMode(trigger, () =>
        ignore(
          "EVENT_IGNORED",
          `The event ${event.eventName} asks for nothing.`,
          "Say a mode in the step, such as deploy or drift, to do it on this event.",
        ),
      );
    default:
      return event satisfies never;
  }
}

type EventNamed<Name extends Event["name"]> = Extract<Event, { name: Name }>;

function decidePush({ payload }: EventNamed<"push">, trigger: Trigger): Decision {
  const { ref } = payload;
  if (payload.deleted === true || ZERO_SHA.test(payload.after)) {
    return ignore(
      "BRANCH_DELETED",
      `${ref} was deleted; GitHub then shows the default branch, which nobody pushed.`,
      "Nothing to do. What was deployed from it stays until it is removed.",
    );
  }
  if (QUEUE_REF.test(ref) && trigger.inputs.mode !== "plan") {
    return ignore(
      "QUEUE_BRANCH",
      "A branch of the merge queue may never be merged: it is neither deployed nor run.",
      "The push to the default branch that follows is.",
    );
  }
  return decideByMode(trigger, () => {
    if (ref.startsWith("refs/tags/")) {
      return ignore("TAG_PUSHED", `${ref} is a tag.`, "Say mode: deploy in the step to deploy tags.");
    }
    const main = payload.repository?.default_branch;
    if (main !== undefined && ref !== `refs/heads/${main}`) {
      return ignore(
        "BRANCH_NOT_DEFAULT",
        `${ref} is not the default branch, ${main}.`,
        "Say mode: deploy in the step, with an environment of its own, to deploy other branches.",
      );
    }
    return buildDeploy(trigger.inputs);
  });
}

function decidePullRequest({ payload }: EventNamed<"pull_request">, trigger: Trigger): Decision {
  const { config, inputs } = trigger;
  const { pull_request, action } = payload;
  const isFork =
    pull_request.head.repo?.full_name.toLowerCase() !== config.GITHUB_REPOSITORY.toLowerCase() ||
    config.GITHUB_ACTOR === "dependabot[bot]";
  const pullRequest = { number: pull_request.number, headSha: pull_request.head.sha, isFork };
  const mayPreview = inputs.preview && !isFork && inputs.run === undefined;
  const isEnd = action === "closed" && mayPreview && ["auto", "deploy"].includes(inputs.mode);
  if (isEnd || (inputs.mode === "remove-preview" && !isFork)) {
    return buildRemoval(pullRequest);
  }
  // A fork has no preview, so there is nothing to remove when it closes.
  const saysNothing = inputs.run === undefined && ["auto", "remove-preview"].includes(inputs.mode);
  if (action === "closed" && saysNothing) {
    return ignore(
      "PULL_REQUEST_CLOSED",
      `Pull request ${pullRequest.number} was closed.`,
      pull_request.merged === true ? "The push to its base branch deploys." : "Nothing to do.",
    );
  }
  if (saysNothing && !PLANNED_ACTIONS.has(action)) {
    return ignore(
      "PULL_REQUEST_UNCHANGED",
      `"${action}" changes nothing of what pull request ${pullRequest.number} would deploy.`,
      "Say mode: plan in the step to plan all the same.",
    );
  }
  if (isFork && (inputs.run !== undefined || !["auto", "plan"].includes(inputs.mode))) {
    throw new UserError(
      "EVENT_REFUSED",
      `Pull request ${pullRequest.number} comes from outside this repository: it can be planned, and nothing else.`,
      { hint: "Merge it, or push it to a branch of this repository." },
    );
  }
  return decideByMode(
    trigger,
    () =>
      mayPreview
        ? buildPreview(inputs, pullRequest)
        : { decision: "plan", deploy: buildDeployRequest(inputs), pullRequest },
    pullRequest,
  );
}

function decideWorkflowRun({ payload }: EventNamed<"workflow_run">, trigger: Trigger): Decision {
  const { conclusion, head_repository, head_sha } = payload.workflow_run;
  if (trigger.inputs.mode === "auto" && trigger.inputs.run === undefined) {
    return ignore(
      "EVENT_IGNORED",
      "The event workflow_run asks for nothing.",
      "Say mode: deploy, run or drift in the step to do it when the other workflow succeeded.",
    );
  }
  if (head_repository?.full_name.toLowerCase() !== trigger.config.GITHUB_REPOSITORY.toLowerCase()) {
    throw new UserError(
      "EVENT_REFUSED",
      "The other workflow ran for a fork, and this event has the rights of the default branch.",
      { hint: "Leave forks out: if: github.event.workflow_run.head_repository.full_name == github.repository" },
    );
  }
  if (conclusion !== "success") {
    return ignore(
      "WORKFLOW_NOT_SUCCESSFUL",
      `The other workflow ended with ${conclusion ?? "no conclusion"}.`,
      "Nothing to do; it runs again when that workflow succeeds.",
    );
  }
  const decision = decideByMode(trigger, () => buildDeploy(trigger.inputs));
  // GITHUB_SHA is the default branch's; what was tested is another commit.
  return decision.decision === "deploy" ? { ...decision, expectedSha: head_sha } : decision;
}

function decideDispatch({ payload }: EventNamed<"repository_dispatch">, trigger: Trigger): Decision {
  const { inputs } = trigger;
  const asked = inputs.run !== undefined ? "run" : inputs.mode;
  if (asked === "run" || (asked === "auto" && payload.action === "flowyard-run")) {
    return decideDispatchedRun(parsePayload(RunPayload, payload.client_payload), trigger);
  }
  if (asked === "deploy" || (asked === "auto" && payload.action === "flowyard-deploy")) {
    const { environment, deployments, sha, reply } = parsePayload(DeployPayload, payload.client_payload);
    if (environment !== undefined && inputs.environment !== undefined && environment !== inputs.environment) {
      throw new UserError(
        "ENVIRONMENT_MISMATCH",
        `The dispatch asks for the environment "${environment}", and this step releases into "${inputs.environment}".`,
        { hint: "Leave the input environment out to take what the dispatch says." },
      );
    }
    const deploy = buildDeployRequest({
      environment: inputs.environment ?? environment,
      deployments: deployments ?? inputs.deployments,
    });
    return { decision: "deploy", deploy, expectedSha: sha, reply, pullRequest: undefined };
  }
  return decideByMode(trigger, () =>
    ignore(
      "DISPATCH_UNKNOWN",
      `The dispatch has the type "${payload.action}".`,
      "Send flowyard-deploy or flowyard-run, or say mode: deploy or run in the step.",
    ),
  );
}

function decideDispatchedRun(payload: RunPayload, { inputs, config }: Trigger): Decision {
  const deployment = inputs.run ?? payload.deployment;
  if (deployment === undefined) {
    throw new UserError("PAYLOAD_INVALID", "The client_payload names no deployment, and neither does the input run.", {
      hint: 'Send {"deployment": "flow/name"}.',
    });
  }
  if (inputs.run !== undefined && payload.deployment !== undefined && payload.deployment !== inputs.run) {
    throw new UserError(
      "PAYLOAD_INVALID",
      `The dispatch asks for ${JSON.stringify(payload.deployment)}, and this step runs "${inputs.run}" only.`,
      { hint: "Leave the input run out to take what the dispatch says." },
    );
  }
  // Who sends the dispatch adds to what the workflow says; the workflow's own parameters are not overridden.
  const parameters = { ...payload.parameters, ...inputs.parameters };
  const run: RunRequest = {
    deployment,
    parameters,
    idempotencyKey: payload.idempotency_key ?? buildIdempotencyKey(config, deployment, parameters),
    wait: payload.wait ?? inputs.wait,
    timeoutSeconds: payload.timeout ?? inputs.timeout,
  };
  return { decision: "run", run, reply: payload.reply };
}
