import { z } from "zod";
import { type ClaimedFlowRun, ClaimFlowRuns, RenewClaims } from "../../../flowyard-api/claims.ts";
import { claimFlowRuns, type TakenRun } from "../../../orchestration/claims/claim-flow-runs.ts";
import { listChangedImages, renewClaims } from "../../../orchestration/claims/renew-claims.ts";
import { returnTakenRuns } from "../../../orchestration/claims/return-claims.ts";
import { recordPoll } from "../../../orchestration/flow-runs/get-scheduled-flow-runs.ts";
import { getWorkPool } from "../../../orchestration/work-pools.ts";
import { isDraining } from "../../../orchestration/workers.ts";
import { secondsBetween, timestampFromDate } from "../../../prefect-api/timestamp.ts";
import type { Logger } from "../../../shared/logger.ts";
import type { Store } from "../../../storage/store.ts";
import type { App, RouteDeps } from "../../app-deps.ts";
import { RunLines, type RunWatch } from "../../claim-wait.ts";

const ByName = z.object({ name: z.string() });

export function registerClaims(api: App, deps: RouteDeps): void {
  const { store, clock } = deps;
  const closing = new AbortController();
  const lines = new RunLines(store.wakeUps);
  api.addHook("preClose", (done) => {
    closing.abort();
    lines.close();
    done();
  });

  api.post(
    "/flowyard/work_pools/:name/claim",
    { schema: { params: ByName, body: ClaimFlowRuns } },
    async (request, reply) => {
      const gone = new AbortController();
      reply.raw.once("close", () => gone.abort());
      const signal = AbortSignal.any([closing.signal, gone.signal]);
      const taken = await claimOrWait(
        { ...deps, lines, logger: request.log },
        request.params.name,
        request.body,
        signal,
      );
      if (gone.signal.aborted && taken.length > 0) {
        await returnTakenRuns({ ...deps, logger: request.log }, taken, clock.now());
        return { claimed: [], draining: false };
      }
      return {
        claimed: await Promise.all(taken.map((run) => complete(store, run))),
        work_pool: taken.length === 0 ? undefined : await getWorkPool(store, request.params.name),
        draining: taken.length === 0 && (await isDraining(store, request.params.name, request.body.worker_name)),
      };
    },
  );

  api.post(
    "/flowyard/work_pools/:name/claims/renew",
    { schema: { params: ByName, body: RenewClaims } },
    async ({ params, body, log }) => ({
      claims: await renewClaims({ ...deps, logger: log }, params.name, body, clock.now()),
      images: await listChangedImages(store, params.name, clock.now()),
      draining: await isDraining(store, params.name, body.worker_name),
    }),
  );
}

type WaitDeps = RouteDeps & { lines: RunLines; logger: Logger };

/** Looks, and looks again whenever a run may have become due, until there is one or the caller's patience is over. */
async function claimOrWait(
  deps: WaitDeps,
  poolName: string,
  body: ClaimFlowRuns,
  signal: AbortSignal,
): Promise<TakenRun[]> {
  const { store } = deps;
  const pool = await getWorkPool(store, poolName);
  const queueNames = body.work_queue_names ?? [];
  await recordPoll(store, pool, queueNames);
  const watch = deps.lines.join(pool.id, queueNames);
  let taken: TakenRun[] = [];
  try {
    taken = await watchFor(deps, watch, pool, body, signal);
    return taken;
  } finally {
    watch.stop(taken.length > 0);
  }
}

async function watchFor(
  deps: WaitDeps,
  watch: RunWatch,
  pool: { id: string; name: string },
  body: ClaimFlowRuns,
  signal: AbortSignal,
): Promise<TakenRun[]> {
  const { store, clock } = deps;
  const endAt = performance.now() + body.wait_seconds * 1000;
  for (;;) {
    watch.beginLook();
    const taken = await claimFlowRuns(deps, pool.name, body, clock.now());
    const leftMs = endAt - performance.now();
    if (taken.length > 0 || leftMs <= 0 || signal.aborted) {
      return taken;
    }
    if (watch.isOnTurn && (await isDraining(store, pool.name, body.worker_name))) {
      watch.giveWay();
    }
    const now = timestampFromDate(clock.now());
    const nextDue = await store.waitingRuns.findNextDueTime(pool.id, now);
    const dueMs = nextDue === null ? null : Math.max(1, secondsBetween(now, nextDue) * 1000);
    await watch.wait(leftMs, dueMs, signal);
    if (signal.aborted) {
      return [];
    }
  }
}

/** With what the worker would have to ask for next. */
async function complete(
  store: Store,
  { claim, flow_run }: TakenRun,
): Promise<Omit<ClaimedFlowRun, "flow_run"> & TakenRun> {
  const { flow_id, deployment_id, work_queue_name } = flow_run;
  const deployment = deployment_id ? await store.deployments.find(deployment_id) : undefined;
  const flow = await store.flows.find(flow_id);
  if (flow === undefined) {
    throw new Error(`flow run ${flow_run.id} has no flow, which the database forbids`);
  }
  return { claim, flow_run, flow, deployment: deployment ?? null, work_queue_name: work_queue_name ?? "" };
}
