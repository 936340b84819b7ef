import { z } from "zod";
import { DeploymentFilter, FlowFilter, FlowRunFilter, paging, TaskRunFilter } from "./filters.ts";
import { ListedIds, ListedTexts, Uuid } from "./primitives.ts";
import type { Timestamp } from "./timestamp.ts";

const ArtifactKey = z.string().regex(/^[a-z0-9-]*$/, "key must only contain lowercase letters, numbers, and dashes.");
const Metadata = z.record(z.string(), z.string());

export const CreateArtifact = z.strictObject({
  key: ArtifactKey.nullish(),
  type: z.string().nullish(),
  description: z.string().nullish(),
  data: z.unknown().optional(),
  metadata_: Metadata.nullish(),
  flow_run_id: Uuid.nullish(),
  task_run_id: Uuid.nullish(),
});
export type CreateArtifact = z.infer<typeof CreateArtifact>;

/** Only the keys that are present change anything. */
export const UpdateArtifact = z.strictObject({
  data: z.unknown().optional(),
  description: z.string().nullish(),
  metadata_: Metadata.nullish(),
});
export type UpdateArtifact = z.infer<typeof UpdateArtifact>;

/** An artifact as the server sends it. `data` is what the flow made of it. */
export interface Artifact {
  id: string;
  created: Timestamp;
  updated: Timestamp;
  key: string | null;
  type: string | null;
  description: string | null;
  data: unknown;
  metadata_: Record<string, string> | null;
  flow_run_id: string | null;
  task_run_id: string | null;
}

/** The latest artifact of a key. Prefect keeps these as objects of their own, with an id beside. */
export type LatestArtifact = Artifact & { latest_id: string };

const AnyId = z.strictObject({ any_: ListedIds }).nullish();

const artifactFields = {
  operator: z.enum(["and_", "or_"]).default("and_"),
  id: AnyId,
  key: z
    .strictObject({
      any_: ListedTexts,
      like_: z.string().nullish(),
      exists_: z.boolean().nullish(),
    })
    .nullish(),
  flow_run_id: AnyId,
  task_run_id: AnyId,
  type: z.strictObject({ any_: ListedTexts, not_any_: ListedTexts }).nullish(),
};
const ArtifactFilter = z.strictObject(artifactFields).nullish();
export type ArtifactFilter = z.infer<typeof ArtifactFilter>;

const { id: _id, ...fieldsOfLatest } = artifactFields;
const LatestArtifactFilter = z.strictObject({ ...fieldsOfLatest, latest_id: AnyId }).nullish();
export type LatestArtifactFilter = z.infer<typeof LatestArtifactFilter>;

const crossObjectFilters = {
  flows: FlowFilter,
  flow_runs: FlowRunFilter,
  task_runs: TaskRunFilter,
  deployments: DeploymentFilter,
};
const SORTS = ["CREATED_DESC", "UPDATED_DESC", "ID_DESC", "KEY_DESC", "KEY_ASC"] as const;
export type ArtifactSort = (typeof SORTS)[number];
const sort = z
  .enum(SORTS)
  .nullish()
  .transform((name) => name ?? "ID_DESC");

export const FilterArtifacts = z.object({ artifacts: ArtifactFilter, ...crossObjectFilters, sort, ...paging });

/** The latest artifact of each key. */
export const FilterLatestArtifacts = z.object({
  artifacts: LatestArtifactFilter,
  ...crossObjectFilters,
  sort,
  ...paging,
});
