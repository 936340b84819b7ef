import { loadEvent } from "./event.ts";
import type { Ending } from "./finish.ts";
import type { Step } from "./step.ts";
import { decideTrigger } from "./trigger.ts";

/** Does what the event asks for. */
export async function runStep(step: Step): Promise<Ending> {
  const { runner, config, inputs } = step;
  for (const notice of inputs.notices) {
    runner.notice(notice);
  }
  const event = await loadEvent(config.GITHUB_EVENT_NAME, config.GITHUB_EVENT_PATH);
  const decision = decideTrigger(event, config, inputs);
  switch (decision.decision) {
    case "ignore":
      return decision;
    case "deploy": {
      const { runDeploy } = await import("./run-deploy.ts");
      return runDeploy(step, decision);
    }
    default:
      throw new Error("not yet");
  }
}
