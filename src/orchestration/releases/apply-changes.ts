import { randomUUID } from "node:crypto";
import { isSameJson } from "../../flowyard-api/canonical-json.ts";
import type { DeploymentState, LiveDeployment } from "../../flowyard-api/deployment-state.ts";
import { nameWanted, type PlannedChange } from "../../flowyard-api/plan-changes.ts";
import type { ReleaseCandidate } from "../../flowyard-api/releases.ts";
import { isSameSchedule } from "../../flowyard-api/schedule-state.ts";
import { readTriggers } from "../../flowyard-api/trigger-state.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Tx } from "../../storage/store.ts";
import { putAutomation, removeAutomation } from "../automations.ts";
import { putDeployment, removeDeployment, writePaused } from "../deployments.ts";
import { ensureFlow } from "../flows.ts";
import { saveScheduleChanges } from "../schedules/deployment-schedules.ts";
import { ownerResource } from "./plan-release.ts";
import { buildDeploymentBody, buildScheduleBody, buildTriggerAutomation } from "./release-bodies.ts";

/** Does what the plan says, inside the transaction that planned it. Answers the id of each deployment of the release. */
export async function applyChanges(
  tx: Tx,
  { scope, source }: ReleaseCandidate,
  changes: readonly PlannedChange[],
  now: Date,
): Promise<Record<string, string>> {
  await freeNames(tx, changes);
  const ids: Record<string, string> = {};
  for (const planned of changes) {
    const { change, live } = planned;
    switch (change.action) {
      case "create":
      case "update":
      case "rename":
      case "adopt":
        ids[change.deployment] = await writeDeployment(tx, planned, now);
        break;
      case "unchanged":
        ids[change.deployment] = live?.deployment.id ?? "";
        break;
      case "pause":
        await pauseMissing(tx, live, source.commit_sha ?? null, now);
        break;
      case "delete":
        await removeDeployment(tx, live?.deployment.id ?? "", now);
        break;
      case "conflict":
        throw new Error(`the conflict over ${change.deployment} was to be refused before`);
    }
  }
  await tx.releases.own(scope, Object.values(ids));
  return ids;
}

/** Chains of renames pass names on; an id is a name that nothing else has. */
async function freeNames(tx: Tx, changes: readonly PlannedChange[]): Promise<void> {
  for (const { change, live } of changes) {
    if (change.action === "rename" && live !== null) {
      const { id, flow_id: flowId } = live.deployment;
      await tx.deployments.rename(id, { name: id, flow_id: flowId });
    }
  }
}

async function writeDeployment(tx: Tx, { wanted, state, live, change }: PlannedChange, now: Date): Promise<string> {
  if (wanted === null || state === null) {
    throw new Error(`the plan does not say what ${change.deployment} becomes`);
  }
  const { flow } = await ensureFlow(tx, { name: wanted.flow_name, tags: [], labels: {} }, now);
  if (change.action === "rename" && live !== null) {
    await tx.deployments.rename(live.deployment.id, { name: wanted.deployment.name, flow_id: flow.id });
  }
  const body = buildDeploymentBody(wanted, state, flow.id);
  const id = await putDeployment(tx, body, live?.deployment.id, { now, createdBy: null });
  await tx.deployments.setCatchUp(id, state.catch_up);
  await writeScheduleStates(tx, id, state, live, now);
  await writeTriggers(tx, id, state, live, now);
  if (live !== null && state.paused && !live.deployment.paused) {
    await writePaused(tx, id, true, now);
  }
  return id;
}

/** Schedules that stay the same are not touched: they keep their ids and the runs' rhythm. */
async function writeScheduleStates(
  tx: Tx,
  id: string,
  { schedules }: DeploymentState,
  live: LiveDeployment | null,
  now: Date,
): Promise<void> {
  const before = new Map(
    (live?.deployment.schedules ?? []).map((schedule) => [
      schedule.id,
      { ...schedule, max_scheduled_runs: schedule.max_scheduled_runs ?? null, slug: schedule.slug ?? null },
    ]),
  );
  const update = schedules.flatMap((schedule) => {
    const previous = before.get(schedule.id ?? "");
    before.delete(schedule.id ?? "");
    const isSame = previous === undefined || isSameSchedule(previous, schedule);
    // Slugs are unique: one that changes makes way first.
    const frees = previous?.slug && previous.slug !== schedule.slug ? { replaces: previous.slug } : {};
    return isSame ? [] : [{ id: previous.id, schedule: { ...buildScheduleBody(schedule), ...frees } }];
  });
  const create = schedules.filter((schedule) => schedule.id === null).map(buildScheduleBody);
  await saveScheduleChanges(tx, id, { remove: [...before.keys()], update, create }, now);
}

async function writeTriggers(
  tx: Tx,
  id: string,
  { triggers }: DeploymentState,
  live: LiveDeployment | null,
  now: Date,
): Promise<void> {
  const timestamp = timestampFromDate(now);
  const automations = new Map((live?.triggers ?? []).map((automation) => [automation.id, automation]));
  const before = new Map(readTriggers(live?.triggers ?? [], id).map((trigger) => [trigger.id, trigger]));
  for (const trigger of triggers ?? []) {
    const previous = before.get(trigger.id);
    before.delete(trigger.id);
    if (previous === undefined || !isSameJson(previous, trigger)) {
      const created = automations.get(trigger.id ?? "")?.created ?? timestamp;
      const made = { id: trigger.id ?? randomUUID(), created, updated: timestamp };
      await putAutomation(tx, buildTriggerAutomation(trigger, made, id), ownerResource(id), now);
    }
  }
  for (const removed of before.keys()) {
    await removeAutomation(tx, removed ?? "", now);
  }
}

async function pauseMissing(tx: Tx, live: LiveDeployment | null, commitSha: string | null, now: Date): Promise<void> {
  if (live === null) {
    throw new Error("the plan does not say what it prunes");
  }
  const { id, paused } = live.deployment;
  await tx.releases.noteMissing(id, { commit_sha: commitSha, paused: !paused });
  if (!paused) {
    await writePaused(tx, id, true, now);
  }
}

export function listNames({ deployments }: ReleaseCandidate): string[] {
  return deployments.map(nameWanted);
}
