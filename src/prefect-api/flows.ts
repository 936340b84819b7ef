import { z } from "zod";
import { Labels, ObjectName, Tags, Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

export const Flow = z.object({
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  name: z.string(),
  tags: Tags,
  labels: Labels.nullish().transform((labels) => labels ?? {}),
});
export type Flow = z.infer<typeof Flow>;

export const CreateFlow = z.strictObject({
  name: ObjectName,
  tags: Tags.default([]),
  labels: Labels.nullish(),
});
export type CreateFlow = z.infer<typeof CreateFlow>;

export const UpdateFlow = z.strictObject({ tags: Tags.optional() });
