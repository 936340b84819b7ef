import { z } from "zod";
import { CreateAutomation } from "../prefect-api/automations.ts";
import { CreateDeployment } from "../prefect-api/deployments.ts";
import { ObjectName, Uuid } from "../prefect-api/primitives.ts";
import { CreateDeploymentSchedule } from "../prefect-api/schedules.ts";
import { Timestamp } from "../prefect-api/timestamp.ts";
import { CatchUp } from "./catch-up.ts";

/** Announced by `GET /api/flowyard/capabilities`; a server that answers 404 there is stock Prefect. */
export const Capabilities = z.object({
  version: z.string(),
  /** Names of what this plane can do beyond Prefect's wire; only ever added to. */
  features: z.array(z.string()),
});
export type Capabilities = z.infer<typeof Capabilities>;

/** Who owns a set of deployments: one environment of one project of one repository. Everything else is not touched. */
export const ReleaseScope = z.strictObject({
  /** `owner/name` on GitHub, or any stable name for a folder that is in no GitHub repository. */
  repository: z.string().min(1).max(300),
  /** Folder of `prefect.yaml` from the repository's root, with `/`; `.` for the root. */
  project_path: z.string().min(1).max(1000),
  environment: z.string().min(1).max(100),
});
export type ReleaseScope = z.infer<typeof ReleaseScope>;

const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

export const ReleaseImage = z.strictObject({
  /** Repository of the image, without tag: `ghcr.io/acme/etl`. */
  name: z.string().min(1),
  /** Tag for people; deployments run the digest. */
  tag: z.string().nullable(),
  /** null while planning before a build, or where nothing is pushed. */
  digest: Digest.nullable(),
  /** Hash of all that goes into the build; null for an image that is not built here. */
  content_hash: z.string().nullable(),
});
export type ReleaseImage = z.infer<typeof ReleaseImage>;

/**
 * `active` is left out where the file does not say it: a new schedule is active then, and one that an operator has
 * paused stays paused. An interval without `anchor_date` keeps the one it has.
 */
export const ReleaseSchedule = CreateDeploymentSchedule.omit({ replaces: true }).extend({
  active: z.boolean().optional(),
});
export type ReleaseSchedule = z.infer<typeof ReleaseSchedule>;

/**
 * The automation that a trigger of the file becomes; the deployment owns it, and its name is its identity there. An
 * action `run-deployment` with `source: selected` and no `deployment_id` (or null) means this deployment. `enabled` is
 * left out where the file does not say it, as with schedules.
 */
export const ReleaseTrigger = CreateAutomation.omit({ owner_resource: true }).extend({
  enabled: z.boolean().optional(),
});
export type ReleaseTrigger = z.infer<typeof ReleaseTrigger>;

/**
 * The complete desired state of one deployment: a key that is left out has its default, with these exceptions, where
 * leaving out means that the file says nothing and what an operator has set stays: `paused`, `schedules`
 * (an empty list removes them all), `global_concurrency_limit_id`, and `active` and `enabled` below.
 */
export const ReleaseDeployment = z.strictObject({
  flow_name: ObjectName,
  /** As `POST /deployments/` takes it, less the flow's id, which the plane finds or makes. */
  deployment: CreateDeployment.omit({ flow_id: true }).extend({ schedules: z.array(ReleaseSchedule).optional() }),
  triggers: z.array(ReleaseTrigger).default([]),
  /** Left out: what an operator has set stays, and what the release before said is taken back. */
  catch_up: CatchUp.nullish(),
  /** `flow/name`, or `name` for the same flow, that this deployment had before: it keeps its id and history. */
  replaces: z.string().nullish(),
});
export type ReleaseDeployment = z.infer<typeof ReleaseDeployment>;

/** Where a release comes from, for the audit: GitHub forgets its runs, the plane does not. */
export const ReleaseSource = z.strictObject({
  /** Event that caused it (`push`, `workflow_dispatch`, `issue_comment` …), or `cli`. */
  event: z.string().min(1).max(100),
  actor: z.string().max(200).nullish(),
  ref: z.string().max(1000).nullish(),
  commit_sha: z
    .string()
    .regex(/^[0-9a-f]{7,64}$/)
    .nullish(),
  /** Committer date of that commit; orders releases of one scope. */
  committed_at: Timestamp.nullish(),
  run_url: z.string().max(2000).nullish(),
});
export type ReleaseSource = z.infer<typeof ReleaseSource>;

/** Environments of previews: one for each pull request, named by its number. */
const PREVIEW_ENVIRONMENT = /^pr-[1-9]\d{0,9}$/;

/** The number of the pull request whose preview the environment is; undefined for any other environment. */
export function readPreviewNumber(environment: string): number | undefined {
  return PREVIEW_ENVIRONMENT.test(environment) ? Number(environment.slice("pr-".length)) : undefined;
}

/**
 * What happens to deployments that the scope owns and the release lacks. Nothing is deleted when first missing:
 * `delete` pauses then, and deletes with a later release of another commit that lacks it still. One that comes back is
 * resumed if it was pruning that paused it. `remove` deletes at once, and is for previews only.
 */
export const Prune = z.enum(["keep", "pause", "delete", "remove"]);
export type Prune = z.infer<typeof Prune>;

const MAX_DEPLOYMENTS = 2000;

export const ReleaseCandidate = z
  .strictObject({
    scope: ReleaseScope,
    source: ReleaseSource,
    images: z.array(ReleaseImage).max(MAX_DEPLOYMENTS).default([]),
    deployments: z.array(ReleaseDeployment).max(MAX_DEPLOYMENTS),
    prune: Prune.default("pause"),
    /** Take over deployments that another scope or nobody owns, instead of reporting a conflict. */
    adopt: z.boolean().default(false),
  })
  .superRefine(({ deployments, prune, scope }, context) => {
    if (prune === "remove" && readPreviewNumber(scope.environment) === undefined) {
      const message = "Value error, only previews (pr-<number>) are removed at once; others are paused first";
      context.addIssue({ code: "custom", path: ["prune"], message });
    }
    const seen = new Set<string>();
    for (const [index, each] of deployments.entries()) {
      const name = `${each.flow_name}/${each.deployment.name}`;
      if (seen.has(name)) {
        const message = `Value error, the release has two deployments named ${name}`;
        context.addIssue({ code: "custom", path: ["deployments", index, "deployment", "name"], message });
      }
      seen.add(name);
    }
  });
export type ReleaseCandidate = z.infer<typeof ReleaseCandidate>;

/** One differing field, safe to show: secret-looking values are replaced by `********`. */
export const FieldChange = z.object({
  /** Dotted path: `tags`, `job_variables.env.MODE`, `schedules`. */
  field: z.string(),
  before: z.unknown(),
  after: z.unknown(),
  /** For `schedules`: the next five fire times of the active ones before and after. */
  next_fires: z.object({ before: z.array(Timestamp), after: z.array(Timestamp) }).nullish(),
  /** For the job variable `image`: what digest and content hash were and become. */
  images: z.object({ before: ReleaseImage.nullable(), after: ReleaseImage.nullable() }).nullish(),
});
export type FieldChange = z.infer<typeof FieldChange>;

const deploymentName = { deployment: z.string(), deployment_id: Uuid.nullish() };

/** Why a release or rollback is not applied, as far as the plan can know. */
const RefusalCode = z.enum(["RELEASE_OUTDATED", "RELEASE_CONFLICT"]);

/** What applying the candidate would do to one deployment, named `flow/name`. */
export const Change = z.discriminatedUnion("action", [
  z.object({ action: z.literal("create"), ...deploymentName, fields: z.array(FieldChange) }),
  z.object({ action: z.literal("update"), ...deploymentName, fields: z.array(FieldChange) }),
  z.object({ action: z.literal("rename"), ...deploymentName, from: z.string(), fields: z.array(FieldChange) }),
  z.object({
    action: z.literal("adopt"),
    ...deploymentName,
    owner: ReleaseScope.nullable(),
    fields: z.array(FieldChange),
  }),
  z.object({ action: z.literal("unchanged"), ...deploymentName }),
  /** Pruning: owned by the scope, missing in the candidate. */
  z.object({ action: z.literal("pause"), ...deploymentName }),
  z.object({ action: z.literal("delete"), ...deploymentName }),
  /** Somebody else's (`owner` null: made by hand): not applied, and nothing else is either unless `adopt` is said. */
  z.object({ action: z.literal("conflict"), ...deploymentName, owner: ReleaseScope.nullable() }),
]);
export type Change = z.infer<typeof Change>;

export const Plan = z.object({
  /** Names exactly what would change, over real values: equal hash, equal effect. */
  plan_hash: z.string(),
  scope: ReleaseScope,
  /** The live release that the plan starts from; null for the first. */
  base_release_id: Uuid.nullable(),
  changes: z.array(Change),
  /** Why applying would be refused now, if it would. */
  refusal: z.object({ code: RefusalCode, message: z.string() }).nullable(),
});
export type Plan = z.infer<typeof Plan>;

export const ApplyRelease = z.strictObject({
  candidate: ReleaseCandidate,
  /** Apply only if the plan still has this hash; otherwise 409 PLAN_CHANGED carrying the new plan. */
  plan_hash: z.string().nullish(),
});
export type ApplyRelease = z.infer<typeof ApplyRelease>;

export const Release = z.object({
  id: Uuid,
  /** Counts from 1 within its scope. */
  number: z.number().int(),
  created: Timestamp,
  scope: ReleaseScope,
  source: ReleaseSource,
  plan_hash: z.string(),
  images: z.array(ReleaseImage),
  /** `flow/name` of each deployment that it has. */
  deployments: z.array(z.string()),
  /** What applying it changed. */
  changes: z.array(Change),
  /** The release whose state this one brought back; null for a deploy. */
  rollback_of: Uuid.nullable(),
  live: z.boolean(),
});
export type Release = z.infer<typeof Release>;

export const AppliedRelease = z.object({
  release: Release,
  /** `flow/name` → deployment id, for every deployment of the release. */
  deployments: z.record(z.string(), Uuid),
  /** False when the plan changed nothing and the live release was kept. */
  changed: z.boolean(),
});
export type AppliedRelease = z.infer<typeof AppliedRelease>;

export const RollBack = z.strictObject({
  scope: ReleaseScope,
  /** A release's id or number, or a commit SHA (at least 7 digits); null for the one before the live one. */
  to: z.string().nullish(),
  source: ReleaseSource,
  plan_hash: z.string().nullish(),
});
export type RollBack = z.infer<typeof RollBack>;

export const FilterReleases = z.object({
  scope: ReleaseScope.partial().nullish(),
  /** Only those that are live, or only those that are not. */
  live: z.boolean().nullish(),
  limit: z.number().int().min(1).max(200).default(50),
  offset: z.number().int().nonnegative().default(0),
});
export type FilterReleases = z.infer<typeof FilterReleases>;

/** Why a release or rollback was not applied; nothing was. The body of an HTTP 409. */
export const ReleaseRefusal = z.object({
  code: z.enum(["PLAN_CHANGED", ...RefusalCode.options]),
  detail: z.string(),
  plan: Plan,
});
export type ReleaseRefusal = z.infer<typeof ReleaseRefusal>;

/**
 * `diff(last release, live state)`: what somebody changed by hand since. `before` of a field is what was released,
 * `after` what is there now; `delete` means that the deployment is gone. Without a release there are no changes.
 */
export const Drift = z.object({ release: Release.nullable(), changes: z.array(Change) });
export type Drift = z.infer<typeof Drift>;

export const FindDrift = z.strictObject({ scope: ReleaseScope });
export type FindDrift = z.infer<typeof FindDrift>;

/** What going from one release to another changes, whatever is live. */
export const ReleaseDiff = z.object({ from: Release.nullable(), to: Release, changes: z.array(Change) });
export type ReleaseDiff = z.infer<typeof ReleaseDiff>;
