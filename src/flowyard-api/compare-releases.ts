import type { Timestamp } from "../prefect-api/timestamp.ts";
import { isSameJson } from "./canonical-json.ts";
import {
  type DeploymentState,
  decideState,
  EMPTY_STATE,
  type LiveDeployment,
  readLiveState,
} from "./deployment-state.ts";
import { diffStates, showDifference } from "./diff-states.ts";
import { nameLive, nameWanted } from "./plan-changes.ts";
import type { Change, FieldChange, ReleaseCandidate, ReleaseDeployment, ReleaseImage } from "./releases.ts";
import type { ScheduleState } from "./schedule-state.ts";

type ListFireTimes = ((schedule: ScheduleState["schedule"]) => Timestamp[]) | undefined;

/** What somebody changed by hand since the release was applied: `before` is the release, `after` what is live. */
export function findDriftChanges(
  released: ReleaseCandidate,
  live: readonly LiveDeployment[],
  listFireTimes?: ListFireTimes,
): Change[] {
  const liveByName = new Map(live.map((each) => [nameLive(each), each]));
  return released.deployments.flatMap((wanted): Change[] => {
    const deployment = nameWanted(wanted);
    const found = liveByName.get(deployment);
    if (found === undefined) {
      return [{ action: "delete", deployment }];
    }
    const named = { deployment, deployment_id: found.deployment.id };
    if (!isSameJson(found.owner, released.scope)) {
      return [{ action: "conflict", ...named, owner: found.owner }];
    }
    const before = decideState(wanted, { live: found, base: null, keepsPauses: false });
    const fields = listFields(before, readLiveState(found), { before: released.images, after: [] }, listFireTimes);
    return fields.length === 0 ? [] : [{ action: "update", ...named, fields }];
  });
}

/** What going from one release to the other changes, whatever is live. */
export function compareReleases(
  from: ReleaseCandidate | null,
  to: ReleaseCandidate,
  listFireTimes?: ListFireTimes,
): Change[] {
  const before = new Map((from?.deployments ?? []).map((each) => [nameWanted(each), each]));
  const images = { before: from?.images ?? [], after: to.images };
  const changes = to.deployments.flatMap((wanted): Change[] => {
    const deployment = nameWanted(wanted);
    const old = wanted.replaces?.includes("/") ? wanted.replaces : `${wanted.flow_name}/${wanted.replaces}`;
    const name = !before.has(deployment) && wanted.replaces && before.has(old) ? old : deployment;
    const previous = before.get(name);
    before.delete(name);
    const fields = listFields(previous ? declare(previous) : null, declare(wanted), images, listFireTimes);
    if (previous === undefined) {
      return [{ action: "create", deployment, fields }];
    }
    if (name !== deployment) {
      return [{ action: "rename", deployment, from: name, fields }];
    }
    return fields.length === 0 ? [] : [{ action: "update", deployment, fields }];
  });
  const gone = [...before.keys()].map((deployment): Change => ({ action: "delete", deployment }));
  return [...changes, ...gone];
}

function declare(wanted: ReleaseDeployment): DeploymentState {
  return decideState(wanted, { live: null, base: null, keepsPauses: false });
}

function listFields(
  before: DeploymentState | null,
  after: DeploymentState,
  images: { before: readonly ReleaseImage[]; after: readonly ReleaseImage[] },
  listFireTimes: ListFireTimes,
): FieldChange[] {
  const showing = { before, after, imagesBefore: images.before, imagesAfter: images.after, listFireTimes };
  return diffStates(before ?? EMPTY_STATE, after).map((difference) => showDifference(difference, showing));
}
