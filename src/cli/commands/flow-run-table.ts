import type { ReceivedFlowRun } from "../../prefect-api/flow-runs.ts";
import type { Output } from "../output.ts";
import { showRelativeTime, styleOfState } from "../show.ts";

/** `flowNames` by flow id; the id is shown for a flow that is not in it. */
export function printFlowRuns(
  output: Output,
  runs: ReceivedFlowRun[],
  flowNames: ReadonlyMap<string, string>,
  now: Date,
): void {
  output.table(runs, [
    { title: "Id", value: (run) => run.id },
    { title: "Flow", value: (run) => flowNames.get(run.flow_id) ?? run.flow_id },
    { title: "Flow run", value: (run) => run.name },
    { title: "State", value: (run) => run.state_name ?? "", style: (run) => styleOfState(run.state_type) },
    { title: "When", value: (run) => showRelativeTime(run.start_time ?? run.expected_start_time, now) },
  ]);
}
