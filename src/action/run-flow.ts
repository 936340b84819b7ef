import type { PrefectClient } from "../client/prefect-client.ts";
import type { Deployment } from "../prefect-api/deployments.ts";
import type { ReceivedFlowRun } from "../prefect-api/flow-runs.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import { UserError } from "../shared/errors.ts";
import type { RunRequest } from "./decision.ts";
import type { Ending } from "./finish.ts";
import { connectServer } from "./server.ts";
import type { Step } from "./step.ts";
import { watchFlowRun } from "./watch-flow-run.ts";

export interface FlowOutcome {
  ending: Ending;
  run: ReceivedFlowRun;
  url: string;
  /** Last lines of its log, for the report. */
  lastLines: string[];
}

const LAST_LINES = 30;

/** Starts a flow run and, unless told otherwise, waits for its end: the state of the run is the result of the step. */
export async function runFlow(step: Step, request: RunRequest): Promise<FlowOutcome> {
  const { runner, outputs, signal } = step;
  const client = connectServer(step);
  const deployment = await findDeployment(client, request.deployment);
  const { value: run, created } = await client.deployments.createFlowRun(deployment.id, {
    state: { type: "SCHEDULED", state_details: { scheduled_time: timestampFromDate(new Date()) } },
    parameters: request.parameters,
    idempotency_key: request.idempotencyKey,
  });
  const url = buildRunUrl(client.apiUrl, run.id);
  outputs["flow-run-id"] = run.id;
  outputs["flow-run-url"] = url;
  outputs["flow-run-state"] = run.state_type ?? "SCHEDULED";
  runner.info(
    created
      ? `Started the flow run "${run.name}" of ${request.deployment}: ${url}`
      : `This GitHub run has started the flow run "${run.name}" already; no second one: ${url}`,
  );
  if (!request.wait) {
    const message = `The flow run "${run.name}" of ${request.deployment} was started.`;
    return { ending: end("RUN_STARTED", message, ""), run, url, lastLines: [] };
  }
  await warnAboutPool(step, client, deployment);

  const deadline =
    request.timeoutSeconds === undefined ? [] : [AbortSignal.timeout(Math.ceil(request.timeoutSeconds * 1000))];
  const lastLines: string[] = [];
  const foreign = runner.openForeignOutput();
  let ended: ReceivedFlowRun;
  try {
    ended = await watchFlowRun({
      client,
      flowRunId: run.id,
      signal: AbortSignal.any([signal, ...deadline]),
      print(text) {
        for (const line of text.split(/\r\n|\r|\n/)) {
          foreign.line(line);
          lastLines.push(line);
        }
        lastLines.splice(0, Math.max(0, lastLines.length - LAST_LINES));
      },
    });
  } finally {
    foreign.end();
  }
  outputs["flow-run-state"] = ended.state_type ?? "SCHEDULED";
  return { ending: decideEnding(ended, request, signal.aborted), run: ended, url, lastLines };
}

async function findDeployment(client: PrefectClient, fullName: string): Promise<Deployment> {
  const slash = fullName.indexOf("/");
  const found = await client.deployments.findByName(fullName.slice(0, slash), fullName.slice(slash + 1));
  if (found === undefined) {
    throw new UserError("NOT_FOUND", `The server has no deployment "${fullName}".`, {
      hint: "Write flow/name, and deploy it first.",
    });
  }
  return found;
}

/** A run that nobody takes looks like one that hangs. */
async function warnAboutPool({ runner }: Step, client: PrefectClient, { work_pool_name }: Deployment): Promise<void> {
  if (work_pool_name === null || work_pool_name === undefined) {
    runner.warning("The deployment has no work pool: no worker takes its runs.");
    return;
  }
  const pool = await client.workPools.find(work_pool_name);
  if (pool?.status === "NOT_READY") {
    runner.warning(`No worker of the work pool "${work_pool_name}" is online; the run waits for one.`);
  } else if (pool?.is_paused === true) {
    runner.warning(`The work pool "${work_pool_name}" is paused; the run waits.`);
  }
}

function decideEnding(run: ReceivedFlowRun, request: RunRequest, isCancelled: boolean): Ending {
  const who = `The flow run "${run.name}" of ${request.deployment}`;
  const said = run.state?.message ?? "";
  const reason = said === "" ? "." : `: ${said}`;
  switch (run.state_type) {
    case "COMPLETED":
      return end("RUN_COMPLETED", `${who} completed${reason}`, "");
    case "FAILED":
      return end("RUN_FAILED", `${who} failed${reason}`, "Read its log above: the flow itself raised or returned it.");
    case "CRASHED":
      return end("RUN_CRASHED", `${who} crashed${reason}`, "Its infrastructure ended it: see the worker's log.");
    case "CANCELLED":
      return end("RUN_CANCELLED", `${who} was cancelled${reason}`, "");
    case "SCHEDULED":
    case "PENDING":
    case "RUNNING":
    case "PAUSED":
    case "CANCELLING":
    case null:
    case undefined:
      return isCancelled
        ? end("STEP_CANCELLED", `The GitHub job was cancelled. ${who} goes on.`, "Cancel it on the server if need be.")
        : end(
            "WATCH_TIMEOUT",
            `${who} has not ended within ${request.timeoutSeconds ?? 0} s; it is ${run.state_type ?? "SCHEDULED"}.`,
            "It goes on. Give the step a longer timeout, or look why no worker takes it.",
          );
    default:
      return run.state_type satisfies never;
  }
}

function end(reason_code: Ending["reason_code"], message: string, next_step: string): Ending {
  return { decision: "run", reason_code, message, next_step };
}

/** Where Prefect's pages and ours show a run. */
function buildRunUrl(apiUrl: string, id: string): string {
  return `${apiUrl.replace(/\/api$/, "")}/runs/flow-run/${id}`;
}
