import { compileSchema, SchemaCache, type Validate } from "../prefect-api/json-schema.ts";
import { isMapping } from "../prefect-api/templating.ts";
import type { WorkPool } from "../prefect-api/work-pools.ts";
import type { Problem } from "../project/problem.ts";
import type { Report } from "./prepared-deployment.ts";

/**
 * The checks that the server will make, made before anything is registered: with several deployments, one that is
 * refused in the middle would leave half of them done. What cannot be told here is left to the server.
 */
export function checkParameters(
  schema: Record<string, unknown>,
  parameters: Record<string, unknown>,
  enforced: boolean,
  report: Report,
): Problem[] {
  return (enforced ? listMismatches(schema, parameters) : []).map(({ key, message }) =>
    report(["parameters", key], message),
  );
}

export function checkJobVariables(pool: WorkPool, variables: Record<string, unknown>, report: Report): Problem[] {
  const schema = pool.base_job_template["variables"];
  if (!isMapping(schema)) {
    return [];
  }
  return listMismatches(schema, variables).map(({ key, message }) =>
    report(
      ["work_pool", "job_variables", key],
      `${message} (work pool ${JSON.stringify(pool.name)}, type ${pool.type})`,
    ),
  );
}

/** Values that only the server or the worker can read: references to blocks, kinds to be hydrated, templates. */
function isDeferred(value: unknown): boolean {
  return /"\$ref"|"__prefect_kind"|\{\{/.test(JSON.stringify(value));
}

/** Each key on its own, so that all of them are told at once and each at its place. */
function listMismatches(schema: Record<string, unknown>, values: Record<string, unknown>) {
  const entries = Object.entries(values);
  const validate = entries.length === 0 ? undefined : compile(schema);
  return entries.flatMap(([key, value]) => {
    const message = isDeferred(value) ? undefined : validate?.({ [key]: value });
    return message === undefined ? [] : [{ key, message }];
  });
}

/** Deployments share the pool's schema, and often the flow's: compiling is most of what checking costs. */
const COMPILED = new SchemaCache();

function compile(schema: Record<string, unknown>): Validate | undefined {
  try {
    const key = JSON.stringify(schema);
    return (
      COMPILED.find(key) ??
      COMPILED.put(key, compileSchema(schema, { ignoreRequired: true, allowNullWithDefault: false }))
    );
  } catch {
    // A schema that makes no sense is the server's to refuse: it says so for the deployment that brings it.
    return undefined;
  }
}
