import { z } from "zod";
import { parseJson } from "../../src/prefect-api/parse-json.ts";
import { Uuid } from "../../src/prefect-api/primitives.ts";
import type { Target } from "./relay-access.ts";

const Named = z.object({ parent_task_run_id: z.unknown().optional(), flow_run_id: z.unknown().optional() });
const Made = z.object({ id: Uuid, parent_task_run_id: Uuid.nullish(), flow_run_id: Uuid.nullish() });

/**
 * The runs that the body of a request to create something names: itself, or a list of such bodies anywhere in it.
 * Undefined for what is no JSON, or names something that is no id.
 */
export function readNamedRuns(body: unknown, key: "parent_task_run_id" | "flow_run_id"): Target[] | undefined {
  const parsed = parse(body);
  if (parsed === undefined) {
    return undefined;
  }
  const kind = key === "flow_run_id" ? "flow_run" : "task_run";
  const ids = listBodies(parsed.value).map((each) => Named.safeParse(each).data?.[key] ?? null);
  const targets = ids.flatMap((id) => (id === null ? [] : [Uuid.safeParse(id).data]));
  return targets.includes(undefined)
    ? undefined
    : targets.flatMap((id) => (id === undefined ? [] : [{ kind, id } as const]));
}

/** The run that the plane's answer is about, and what it was made for. */
export function readMadeRun(body: Buffer): { id: string; above: Target | null } | undefined {
  const { data } = Made.safeParse(parse(body)?.value);
  if (data === undefined) {
    return undefined;
  }
  const { id, parent_task_run_id: parent, flow_run_id: flowRun } = data;
  if (parent) {
    return { id, above: { kind: "task_run", id: parent } };
  }
  return { id, above: flowRun ? { kind: "flow_run", id: flowRun } : null };
}

function parse(body: unknown): { value: unknown } | undefined {
  try {
    return { value: parseJson(String(body)) };
  } catch {
    return undefined;
  }
}

/** Bodies that create many are a list, with or without a name. */
function listBodies(value: unknown): unknown[] {
  if (Array.isArray(value)) {
    return value;
  }
  const inner = typeof value === "object" && value !== null ? Object.values(value).filter(Array.isArray) : [];
  return [value, ...inner.flat()];
}
