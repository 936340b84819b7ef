import { z } from "zod";
import { CreateAutomation } from "../prefect-api/automations.ts";
import { CreateDeployment } from "../prefect-api/deployments.ts";
import { ObjectName, Uuid } from "../prefect-api/primitives.ts";
import { Timestamp } from "../prefect-api/timestamp.ts";

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

/** The complete desired state of one deployment. */
export const ReleaseDeployment = z.strictObject({
  flow_name: ObjectName,
  /** As `POST /deployments/` takes it, less the flow's id, which the plane finds or makes. */
  deployment: CreateDeployment.omit({ flow_id: true }),
  triggers: z.array(CreateAutomation).default([]),
  /** `flow/name` that this deployment had before: it keeps its id and history. */
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

/** What happens to deployments that the scope owns and the release lacks. Nothing is deleted when first missing. */
export const Prune = z.enum(["keep", "pause", "delete"]);
export type Prune = z.infer<typeof Prune>;

const MAX_DEPLOYMENTS = 2000;

export const ReleaseCandidate = z.strictObject({
  scope: ReleaseScope,
  source: ReleaseSource,
  images: z.array(ReleaseImage).max(MAX_DEPLOYMENTS).default([]),
  deployments: z.array(ReleaseDeployment).max(MAX_DEPLOYMENTS),
  prune: Prune.default("pause"),
  /** Take over deployments that another scope or nobody owns, instead of reporting a conflict. */
  adopt: z.boolean().default(false),
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
  refusal: z.object({ code: z.string(), message: z.string() }).nullable(),
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
  limit: z.number().int().min(1).max(200).default(50),
  offset: z.number().int().nonnegative().default(0),
});
export type FilterReleases = z.infer<typeof FilterReleases>;

/** `diff(last release, live state)`: what somebody changed by hand since. */
export const Drift = z.object({ release: Release.nullable(), changes: z.array(Change) });
export type Drift = z.infer<typeof Drift>;
