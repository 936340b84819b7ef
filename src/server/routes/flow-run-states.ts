import { z } from "zod";
import { resumeFlowRun } from "../../orchestration/resume-flow-run.ts";
import { setFlowRunState } from "../../orchestration/set-flow-run-state.ts";
import { JsonObject, Uuid } from "../../prefect-api/primitives.ts";
import { SetState } from "../../prefect-api/states.ts";
import { readApiVersion } from "../api-version.ts";
import type { App, AppDeps } from "../app-deps.ts";

const ById = z.object({ id: Uuid });
const ResumeFlowRun = z.object({ run_input: JsonObject.nullish() });

/** 201 when a state was written, 200 when the run kept the one it had (surface §2.4). */
function statusOf({ written }: { written: boolean }): 200 | 201 {
  return written ? 201 : 200;
}

export function registerFlowRunStates(api: App, { store, bus, clock }: AppDeps): void {
  api.post(
    "/flow_runs/:id/set_state",
    { schema: { params: ById, body: SetState }, config: { modelErrors: true } },
    async (request, reply) => {
      const proposal = {
        flowRunId: request.params.id,
        state: request.body.state,
        mode: request.body.force ? ("forced" as const) : ("normal" as const),
        clientApiVersion: readApiVersion(request),
      };
      const outcome = await setFlowRunState({ store, bus, logger: request.log }, proposal, clock.now());
      return reply.code(statusOf(outcome)).send(outcome.result);
    },
  );

  api.post(
    "/flow_runs/:id/resume",
    { schema: { params: ById, body: ResumeFlowRun }, config: { modelErrors: true } },
    async (request, reply) => {
      const resumption = {
        flowRunId: request.params.id,
        input: request.body.run_input ?? null,
        clientApiVersion: readApiVersion(request),
      };
      const outcome = await resumeFlowRun({ store, bus, logger: request.log }, resumption, clock.now());
      return reply.code(statusOf(outcome)).send(outcome.result);
    },
  );
}
