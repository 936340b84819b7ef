import { patch, post, type Step } from "./step.ts";

const VALUES: readonly unknown[] = [null, 5, -1, 1.5, "x", "5", "", true, "true", [], { a: 1 }, 1e300];
/** What pydantic makes something else of: "5" is 5, 1 is true, "" is a name. We take things for what they are. */
const GUESSED: readonly unknown[] = ["5", "true", "", true, 0, []];

interface Kind {
  build: (name: string, body: unknown) => Step;
  /** The rest of a body that is right. */
  rest: Record<string, unknown>;
  keys: string[];
}

const kinds: Kind[] = [
  { build: (name, body) => post(name, "/flows/", body), rest: { name: "m" }, keys: ["name", "tags", "labels"] },
  {
    build: (name, body) => post(name, "/deployments/", body),
    rest: { name: "m", flow_id: "$flow" },
    keys: [
      ...["flow_id", "paused", "schedules", "concurrency_limit", "concurrency_options", "enforce_parameter_schema"],
      ...["parameter_openapi_schema", "parameters", "tags", "labels", "pull_steps", "work_queue_name", "description"],
      ...["version", "entrypoint", "path", "job_variables", "version_info"],
    ],
  },
  {
    build: (name, body) => post(name, "/deployments/$d3/create_flow_run", body),
    rest: { name: "m" },
    keys: ["state", "name", "parameters", "context", "empirical_policy", "tags", "idempotency_key", "labels"],
  },
  {
    build: (name, body) => post(name, "/flow_runs/", body),
    rest: { flow_id: "$flow", name: "m" },
    keys: ["flow_id", "state", "flow_version", "parameters", "parent_task_run_id", "job_variables"],
  },
  {
    build: (name, body) => patch(name, "/work_pools/p1", body),
    rest: {},
    keys: ["description", "is_paused", "base_job_template", "concurrency_limit"],
  },
  {
    build: (name, body) => post(name, "/logs/", [body]),
    rest: { name: "n", level: 20, message: "m", timestamp: "2026-01-01T00:00:00Z" },
    keys: ["name", "level", "message", "timestamp", "flow_run_id"],
  },
  {
    build: (name, body) => post(name, "/flow_runs/filter", body),
    rest: {},
    keys: ["flow_runs", "flows", "sort", "limit", "offset"],
  },
  {
    build: (name, body) => post(name, "/artifacts/", body),
    rest: {},
    keys: ["key", "type", "description", "data", "metadata_", "flow_run_id"],
  },
];

/** Every key of these bodies with every kind of value. */
export function listWrongKinds(): { step: Step; value: unknown }[] {
  return kinds.flatMap(({ build, rest, keys }) =>
    keys.flatMap((key) =>
      VALUES.map((value) => ({ step: build(`${key} is ${JSON.stringify(value)}`, { ...rest, [key]: value }), value })),
    ),
  );
}

/** Whether statuses may differ: theirs fails, a null is as good as nothing to us, or theirs guesses. */
export function isReviewedKind(theirs: number, ours: number, value: unknown): boolean {
  const weAccept = ours < 300;
  return (
    (theirs >= 500 && ours < 500) ||
    (value === null && weAccept) ||
    (theirs < 300 && ours === 422 && GUESSED.includes(value)) ||
    (theirs < 300 && ours === 422 && Array.isArray(value) && value.length === 0)
  );
}
