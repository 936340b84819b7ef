import { z } from "zod";

/** Prefect's page limit: default and maximum of every `limit` (`PREFECT_API_DEFAULT_LIMIT`). */
export const MAX_PAGE_SIZE = 200;
/** The REST API version that we speak (Prefect's constant; unchanged from 3.8.4 to 3.9.1). */
export const API_VERSION = "0.8.4";
/** The package version that we stand for: engines refuse another major and warn about an older one. */
export const PREFECT_VERSION = "3.9.1";

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Any UUID version: states and events are v7, runs and flows v4. Lower-cased, as the database compares text. */
export const Uuid = z
  .string()
  .regex(UUID_PATTERN, "Input should be a valid UUID")
  .transform((text) => text.toLowerCase());

/** Looking up more takes the plane's one thread long enough for others to notice; Prefect's takes 32,767 on PostgreSQL. */
const MAX_LISTED = 20_000;
const TOO_MANY = `List should have at most ${MAX_LISTED} items: ask in several requests`;
/** What a filter looks for. */
export const ListedIds = z.array(Uuid).max(MAX_LISTED, TOO_MANY).nullish();
export const ListedTexts = z.array(z.string()).max(MAX_LISTED, TOO_MANY).nullish();

export function isUuid(text: string): boolean {
  return UUID_PATTERN.test(text);
}

/** Names of flows, pools, queues, deployments and limits: what Prefect's routes can carry in a path. */
export const ObjectName = z
  .string()
  .min(1)
  .regex(/^[^/%&><]+$/, "Name contains an invalid character: must not contain /, %, &, > or <")
  .refine((name) => !name.includes("\0"), { error: "Name contains a NUL character" }); // no database finds it again

/** A pool cannot be called nothing, however many blanks that has. */
export const VisibleName = ObjectName.refine((name) => name.trim() !== "", { error: "name cannot be an empty string" });

export const JsonObject = z.record(z.string(), z.unknown());
export type JsonObject = z.infer<typeof JsonObject>;

export const Tags = z.array(z.string());

/** Labels are scalars; Prefect's system labels start with `prefect.`. */
export const Labels = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
export type Labels = z.infer<typeof Labels>;

export const CreatedBy = z.object({
  id: z.string().nullish(),
  type: z.string().nullish(),
  display_value: z.string().nullish(),
});
export type CreatedBy = z.infer<typeof CreatedBy>;
