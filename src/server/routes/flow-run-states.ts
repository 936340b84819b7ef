import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { FENCING_TOKEN_HEADER } from "../../flowyard-api/claims.ts";
import { resumeFlowRun } from "../../orchestration/states/resume-flow-run.ts";
import { setFlowRunState } from "../../orchestration/states/set-flow-run-state.ts";
import { JsonObject, Uuid } from "../../prefect-api/primitives.ts";
import { SetState } from "../../prefect-api/states.ts";
import { UserError } from "../../shared/errors.ts";
import { readApiVersion } from "../api-version.ts";
import type { App, AppDeps } from "../app-deps.ts";
import { describeClient } from "../describe-client.ts";

const ById = z.object({ id: Uuid });
const FencingToken = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);
const ResumeFlowRun = z.object({ run_input: JsonObject.nullish() });

/** 201 when a state was written, 200 when the run kept the one it had (surface §2.4). */
function statusOf({ written }: { written: boolean }): 200 | 201 {
  return written ? 201 : 200;
}

function readFencingToken({ headers }: FastifyRequest): number | null {
  const text = headers[FENCING_TOKEN_HEADER];
  if (text === undefined) {
    return null;
  }
  const token = FencingToken.safeParse(text);
  if (!token.success) {
    throw new UserError("INVALID_REQUEST", `Header ${FENCING_TOKEN_HEADER} is not the number of a claim's token.`);
  }
  return token.data;
}

export function registerFlowRunStates(api: App, { store, bus, clock }: AppDeps): void {
  api.get("/flow_run_states/:id", { schema: { params: ById } }, async ({ params }) => {
    const state = await store.flowRuns.findState(params.id);
    if (state === undefined) {
      throw new UserError("NOT_FOUND", "Flow run state not found");
    }
    return state;
  });

  api.post(
    "/flow_runs/:id/set_state",
    { schema: { params: ById, body: SetState }, config: { modelErrors: true } },
    async (request, reply) => {
      const proposal = {
        flowRunId: request.params.id,
        state: request.body.state,
        mode: request.body.force ? ("forced" as const) : ("normal" as const),
        clientApiVersion: readApiVersion(request),
        fencingToken: readFencingToken(request),
        by: describeClient(request),
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
        by: describeClient(request),
      };
      const outcome = await resumeFlowRun({ store, bus, logger: request.log }, resumption, clock.now());
      return reply.code(statusOf(outcome)).send(outcome.result);
    },
  );
}
