import { checkCommit } from "./checkout-commit.ts";
import type { Decision } from "./decision.ts";
import { loadEvent } from "./event.ts";
import type { Ending } from "./finish.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";
import { decideTrigger } from "./trigger.ts";

/** Does what the event asks for. What it throws is the step's failure; `story` then tells how far it came. */
export async function runStep(given: Step, story: Story): Promise<Ending> {
  const { runner, config, inputs } = given;
  for (const notice of inputs.notices) {
    runner.notice(notice);
  }
  const event = await loadEvent(config.GITHUB_EVENT_NAME, config.GITHUB_EVENT_PATH);
  const decision = decideTrigger(event, config, inputs);
  story.decision = decision;
  const step = { ...given, headCommit: event.name === "push" ? (event.payload.head_commit ?? undefined) : undefined };
  const ending = await carryOut(decision, step, story);
  if (inputs.preview && mayReachServer(decision)) {
    const { sweepPreviews } = await import("./sweep-previews.ts");
    await sweepPreviews(step, story);
  }
  return ending;
}

/** What an event that asks for nothing, or comes from a stranger, has no credentials for. */
function mayReachServer(decision: Decision): boolean {
  const pullRequest = "pullRequest" in decision ? decision.pullRequest : undefined;
  return decision.decision !== "ignore" && decision.decision !== "run" && pullRequest?.isFork !== true;
}

/** What only some events need is loaded when they do: the start of the others stays short. */
async function carryOut(decision: Decision, step: Step, story: Story): Promise<Ending> {
  switch (decision.decision) {
    case "ignore":
      return decision;
    case "deploy": {
      if (decision.expectedSha !== undefined) {
        const commits = { expected: decision.expectedSha, ofEvent: step.config.GITHUB_SHA };
        await checkCommit(step.workspace, commits, step.signal);
        // What is deployed is that commit, whatever the event's own is.
        step.environment["GITHUB_SHA"] = decision.expectedSha;
      }
      const { runDeploy } = await import("./run-deploy.ts");
      return runDeploy(step, story, decision.deploy);
    }
    case "plan": {
      if (decision.pullRequest?.isFork === true) {
        const { checkProjects } = await import("./check-projects.ts");
        return checkProjects(step, story, decision.deploy.deployments);
      }
      const { runPlan } = await import("./run-plan.ts");
      return runPlan(step, story, decision.deploy);
    }
    case "run": {
      const { runFlow } = await import("./run-flow.ts");
      story.flow = await runFlow(step, decision.run);
      return story.flow.ending;
    }
    case "drift": {
      const { runDrift } = await import("./run-drift.ts");
      return runDrift(step, story, decision.deploy);
    }
    case "rollback": {
      const { runRollback } = await import("./run-rollback.ts");
      return runRollback(step, story, decision);
    }
    case "remove": {
      const { runRemove } = await import("./run-remove.ts");
      return runRemove(step, story, decision.deploy);
    }
    default:
      return decision satisfies never;
  }
}
