import { z } from "zod";

export type Json = string | number | boolean | null | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

export const Json: z.ZodType<Json> = z.lazy(() =>
  z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(Json), z.record(z.string(), Json)]),
);
export const JsonObject: z.ZodType<JsonObject> = z.record(z.string(), Json);

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value if it is an object. */
export function asObject(value: Json | undefined): JsonObject | undefined {
  return value !== undefined && isObject(value) ? value : undefined;
}
