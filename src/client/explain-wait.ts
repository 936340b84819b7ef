import type { Explanation } from "../flowyard-api/explain.ts";
import type { ReceivedFlowRun } from "../prefect-api/flow-runs.ts";
import type { StateType } from "../prefect-api/states.ts";
import type { PrefectClient } from "./prefect-client.ts";

/** A run that starts within this needs no explanation. */
const PATIENCE_MS = 10_000;
/** Between two questions. */
const PAUSE_MS = 5000;
const WAITING: ReadonlySet<StateType | null | undefined> = new Set(["SCHEDULED", "PENDING", "PAUSED"]);

interface Waiting {
  client: { explanations: Pick<PrefectClient["explanations"], "find"> };
  flowRunId: string;
  tell(explanation: Explanation): void;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
}

/**
 * For whoever watches a run: call it with the run whenever that has been read. Once the run has waited long enough it
 * tells why, and again when the reason becomes another one. A server that explains nothing is asked once; an answer
 * that does not come never ends the watching.
 */
export function createWaitExplainer({ client, flowRunId, tell, now = () => performance.now() }: Waiting) {
  let waitsSince = now();
  let askedAt = Number.NEGATIVE_INFINITY;
  let told = "";
  let isSilent = false;
  return async (run: Pick<ReceivedFlowRun, "state_type">): Promise<void> => {
    const time = now();
    if (!WAITING.has(run.state_type)) {
      waitsSince = time;
      told = "";
      return;
    }
    if (isSilent || time - waitsSince < PATIENCE_MS || time - askedAt < PAUSE_MS) {
      return;
    }
    askedAt = time;
    let explanation: Explanation | undefined;
    try {
      explanation = await client.explanations.find(flowRunId);
    } catch {
      return; // decoration: the watching goes on, and it is asked again
    }
    if (explanation === undefined) {
      isSilent = true;
      return;
    }
    const reasons = [explanation, ...explanation.others].map(({ reason_code }) => reason_code).join(" ");
    if (reasons !== told && WAITING.has(explanation.flow_run.state_type)) {
      told = reasons;
      tell(explanation);
    }
  };
}
