import { z } from "zod";
import { JsonObject, Tags, Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

/** Triggers and actions are stored as they come; they are not evaluated. */
export const CreateAutomation = z.strictObject({
  name: z.string().min(1),
  description: z.string().default(""),
  enabled: z.boolean().default(true),
  tags: Tags.default([]),
  trigger: JsonObject,
  actions: z.array(JsonObject),
  actions_on_trigger: z.array(JsonObject).default([]),
  actions_on_resolve: z.array(JsonObject).default([]),
  owner_resource: z.string().nullish(),
});
export type CreateAutomation = z.infer<typeof CreateAutomation>;

/** In Prefect's order: what was sent, and then what the server adds. */
export const Automation = z.object({
  name: z.string(),
  description: z.string(),
  enabled: z.boolean(),
  tags: Tags.default([]),
  trigger: JsonObject,
  actions: z.array(JsonObject),
  actions_on_trigger: z.array(JsonObject).default([]),
  actions_on_resolve: z.array(JsonObject).default([]),
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
});
export type Automation = z.infer<typeof Automation>;
