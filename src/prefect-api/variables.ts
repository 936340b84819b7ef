import { z } from "zod";
import { Tags, Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

const MAX_VALUE_CHARACTERS = 5000;

const VariableName = z
  .string()
  .max(255)
  .regex(/^[a-z0-9_-]+$/, "name must only contain lowercase letters, numbers, and dashes or underscores.");
const VariableValue = z.unknown().refine((value) => JSON.stringify(value ?? null).length <= MAX_VALUE_CHARACTERS, {
  error: `Variable value must be less than ${MAX_VALUE_CHARACTERS} characters`,
});

export const CreateVariable = z.strictObject({ name: VariableName, value: VariableValue, tags: Tags.default([]) });
export type CreateVariable = z.infer<typeof CreateVariable>;

export const UpdateVariable = z.strictObject({
  name: VariableName.nullish(),
  value: VariableValue.optional(),
  tags: Tags.nullish(),
});
export type UpdateVariable = z.infer<typeof UpdateVariable>;

export const Variable = z.object({
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  name: z.string(),
  value: z.unknown(),
  tags: Tags,
});
export type Variable = z.infer<typeof Variable>;
