import { hashJson } from "../../flowyard-api/canonical-json.ts";
import type { LiveDeployment } from "../../flowyard-api/deployment-state.ts";
import { describeConflicts, type PlannedRelease, planChanges } from "../../flowyard-api/plan-changes.ts";
import type { Change, Plan, ReleaseCandidate } from "../../flowyard-api/releases.ts";
import type { ScheduleState } from "../../flowyard-api/schedule-state.ts";
import type { SchemaCache } from "../../prefect-api/json-schema.ts";
import type { JsonObject } from "../../prefect-api/primitives.ts";
import { type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { LiveRelease } from "../../storage/releases.ts";
import type { Nouns } from "../../storage/store.ts";
import { checkDeploymentJobVariables, compileParameterSchema, findParameterProblem } from "../deployments.ts";
import { listFireTimes, validateSchedule } from "../schedules/next-fire-times.ts";
import { buildDeploymentBody } from "./release-bodies.ts";

const FIRE_TIMES = 5;

/** A plan with all that it takes to apply it. */
export interface DraftedPlan {
  plan: Plan;
  planned: PlannedRelease;
  live: LiveRelease | undefined;
}

interface Drafting {
  candidate: ReleaseCandidate;
  isRollback: boolean;
}

/**
 * Plans a candidate against what is live now; whether it would be refused is in the plan. Throws UserError
 * INVALID_RELEASE with every deployment that cannot be applied as it is.
 */
export async function draftPlan(
  nouns: Nouns,
  schemas: SchemaCache,
  { candidate, isRollback }: Drafting,
  now: Date,
): Promise<DraftedPlan> {
  const live = await nouns.releases.findLive(candidate.scope);
  const planned = planChanges({
    candidate,
    live: await readLiveDeployments(nouns, candidate),
    base: live?.candidate ?? null,
    listFireTimes: buildListFireTimes(now),
  });
  await checkPlanned(nouns, schemas, planned);
  const changes = planned.changes.map(({ change }) => change);
  const refusal = (isRollback ? null : decideOutdated(candidate, live)) ?? decideConflict(changes);
  const plan: Plan = {
    plan_hash: planned.plan_hash,
    scope: candidate.scope,
    base_release_id: live?.release.id ?? null,
    changes,
    refusal,
  };
  return { plan, planned, live };
}

/** The deployments that planning this candidate is about. */
export async function readLiveDeployments(
  nouns: Nouns,
  { scope, deployments }: Pick<ReleaseCandidate, "scope" | "deployments">,
): Promise<LiveDeployment[]> {
  const replaced = deployments.flatMap(({ replaces }) => replaces?.split("/") ?? []);
  const touched = await nouns.releases.listTouched(scope, {
    // A part of `flow/name` on the wrong side finds a deployment more, which changes nothing.
    flows: [...new Set([...deployments.map((each) => each.flow_name), ...replaced])],
    deployments: [...new Set([...deployments.map((each) => each.deployment.name), ...replaced])],
  });
  const byId = new Map(touched.map((each) => [each.id, each]));
  const found = await nouns.deployments.listByIds([...byId.keys()]);
  const triggers = await nouns.automations.listOwnedBy(found.map(({ id }) => ownerResource(id)));
  const catchUps = await nouns.deployments.findCatchUp(found.map(({ id }) => id));
  return found.flatMap((deployment) => {
    const about = byId.get(deployment.id);
    return about === undefined
      ? []
      : [
          {
            flow_name: about.flow_name,
            deployment,
            triggers: triggers.get(ownerResource(deployment.id)) ?? [],
            owner: about.owner,
            catch_up: catchUps.get(deployment.id) ?? null,
            missing: about.missing,
          },
        ];
  });
}

export function ownerResource(deploymentId: string): string {
  return `prefect.deployment.${deploymentId}`;
}

/** The next fire times of any schedule from now; none of one that nobody can compute. */
export function buildListFireTimes(now: Date): (schedule: ScheduleState["schedule"]) => Timestamp[] {
  const anchor = timestampFromDate(now);
  return (schedule) => {
    const anchored = "interval" in schedule ? { anchor_date: anchor, ...schedule } : schedule;
    return validateSchedule(anchored) === undefined
      ? listFireTimes(anchored, { from: now, limit: FIRE_TIMES }).map(timestampFromDate)
      : [];
  };
}

function decideConflict(changes: readonly Change[]): Plan["refusal"] {
  const message = describeConflicts(changes);
  return message === undefined ? null : { code: "RELEASE_CONFLICT", message };
}

/** The re-run of an old commit's job, or a queue that overtook, must not take back what is newer. */
function decideOutdated({ source }: ReleaseCandidate, live: LiveRelease | undefined): Plan["refusal"] {
  const { commit_sha: sha, committed_at: committedAt } = source;
  const newest = live?.newest_commit_at;
  if (!live || !committedAt || !newest || committedAt >= newest || sha === live.release.source.commit_sha) {
    return null;
  }
  const { number, source: liveSource } = live.release;
  const message =
    `Commit ${sha ?? "of the release"} (${committedAt}) is older than what is live: release ${number}, ` +
    `${liveSource.commit_sha ?? "no commit"} (${newest}). Nothing was changed; to go back on purpose, roll back.`;
  return { code: "RELEASE_OUTDATED", message };
}

/** All that would be refused while applying, in one go. */
async function checkPlanned(nouns: Nouns, schemas: SchemaCache, { changes }: PlannedRelease): Promise<void> {
  const problems: string[] = [];
  // Deployments of one flow have one schema, and compiling is most of what checking costs.
  const compile = (schema: JsonObject) => {
    const key = hashJson(schema);
    return schemas.find(key) ?? schemas.put(key, compileParameterSchema(schema));
  };
  for (const { change, state, wanted } of changes) {
    if (state === null || wanted === null || change.action === "unchanged") {
      continue;
    }
    const tell = (problem: string) => problems.push(`${change.deployment}: ${problem}`);
    try {
      await checkDeploymentJobVariables(nouns, schemas, buildDeploymentBody(wanted, state, ""));
    } catch (error) {
      if (!(error instanceof UserError)) {
        throw error;
      }
      tell(error.message);
    }
    const parameters = state.enforce_parameter_schema
      ? findParameterProblem(state.parameter_openapi_schema, state.parameters, compile)
      : undefined;
    const schedules = state.schedules.map(({ schedule }) => validateSchedule(schedule));
    for (const problem of [parameters, ...schedules, findSlugProblem(state.schedules)]) {
      if (problem !== undefined) {
        tell(problem);
      }
    }
  }
  if (problems.length > 0) {
    throw new UserError("INVALID_RELEASE", `The release cannot be applied. ${problems.join(" ")}`);
  }
}

function findSlugProblem(schedules: readonly ScheduleState[]): string | undefined {
  const slugs = schedules.flatMap(({ slug }) => slug ?? []);
  const twice = slugs.find((slug, index) => slugs.indexOf(slug) !== index);
  return twice === undefined ? undefined : `two schedules have the slug ${twice}.`;
}
