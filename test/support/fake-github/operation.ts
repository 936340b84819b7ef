import { z } from "zod";
import type { Json, JsonObject } from "./json.ts";
import type { World } from "./world.ts";

export interface Call {
  world: World;
  params: JsonObject;
  query: URLSearchParams;
  body: JsonObject;
  /** Who the token stands for. */
  login: string;
}

/** A list is cut to pages by the server. */
export type Answer =
  | { status: number; body?: Json; headers?: Record<string, string> }
  | { list: Json[]; wrap?: string };

export type Implementation = (call: Call) => Answer;
export type Implementations = Record<string, Implementation>;

/** An answer other than success, in GitHub's words. */
export class Refused extends Error {
  readonly status: number;
  readonly body: JsonObject;

  constructor(status: number, message: string, more: JsonObject = {}) {
    super(message);
    this.status = status;
    this.body = { message, documentation_url: "https://docs.github.com/rest", status: String(status), ...more };
  }
}

export function refuseMissing(): never {
  throw new Refused(404, "Not Found");
}

export function refuseInvalid(resource: string, field: string, code: string, message?: string): never {
  const problem = message === undefined ? { resource, field, code } : { resource, field, code, message };
  throw new Refused(422, "Validation Failed", { errors: [problem] });
}

export function textOf(holder: JsonObject, name: string, otherwise?: string): string {
  const value = holder[name] ?? otherwise;
  return z.string().parse(value);
}

export function numberOf(params: JsonObject, name: string): number {
  const value = Number(params[name]);
  return Number.isSafeInteger(value) ? value : refuseMissing();
}

export function optional(body: JsonObject, ...names: string[]): JsonObject {
  return Object.fromEntries(names.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])));
}
