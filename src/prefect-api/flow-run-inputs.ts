import { z } from "zod";

const InputKey = z
  .string()
  .regex(/^[a-zA-Z0-9_-]+$/, "key must only contain letters, numbers, dashes and underscores.");
const MAX_VALUE_CHARACTERS = 524_288; // Prefect's bound on parameters

export const CreateFlowRunInput = z.strictObject({
  key: InputKey,
  value: z.string().max(MAX_VALUE_CHARACTERS),
  sender: z.string().nullish(),
});
export type CreateFlowRunInput = z.infer<typeof CreateFlowRunInput>;

export const FilterFlowRunInputs = z.strictObject({
  prefix: z.string(),
  limit: z.number().int().nullish(),
  exclude_keys: z.array(z.string()).default([]),
});
