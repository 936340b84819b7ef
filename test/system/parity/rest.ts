import { get, NOBODY, patch, post, put, remove, type Step } from "./step.ts";

/** Which states there are is reviewed where they are set. */
function listTypes(body: unknown): unknown {
  return Array.isArray(body) ? body.map(Object.keys) : body;
}

export const taskRunSteps: Step[] = [
  post(
    "task run",
    "/task_runs/",
    { task_key: "k", dynamic_key: "0", flow_run_id: "$fr", name: "t" },
    { keep: { task: "id" } },
  ),
  post("task run again", "/task_runs/", { task_key: "k", dynamic_key: "0", flow_run_id: "$fr", name: "t2" }),
  post("task run without a key", "/task_runs/", { dynamic_key: "0" }),
  get("task run by id", "/task_runs/$task"),
  get("unknown task run", `/task_runs/${NOBODY}`),
  get("task run by an id that is none", "/task_runs/abc"),
  patch("name of a task run", "/task_runs/$task", { name: "t3" }),
  patch("unknown task run to change", `/task_runs/${NOBODY}`, { name: "t3" }),
  post("state of a task run", "/task_runs/$task/set_state", { state: { type: "RUNNING" } }),
  post("end of a task run", "/task_runs/$task/set_state", { state: { type: "COMPLETED" } }),
  get("states of a task run", "/task_run_states/?task_run_id=$task", { view: listTypes }),
  get("states of an unknown task run", `/task_run_states/?task_run_id=${NOBODY}`),
  get("states of no task run", "/task_run_states/"),
  get("unknown state of a task run", `/task_run_states/${NOBODY}`),
  post("state of an unknown task run", `/task_runs/${NOBODY}/set_state`, { state: { type: "RUNNING" } }),
  post("task runs of a flow run", "/task_runs/filter", { task_runs: { flow_run_id: { any_: ["$fr"] } } }),
  post("task runs through flow runs", "/task_runs/filter", { flow_runs: { name: { any_: ["fr"] } }, sort: "NAME_ASC" }),
  post("task runs, too many", "/task_runs/filter", { limit: 201 }),
  post("number of task runs", "/task_runs/count"),
  remove("task run", "/task_runs/$task"),
  remove("task run again", "/task_runs/$task"),
];

export const variableSteps: Step[] = [
  post(
    "variable",
    "/variables/",
    { name: "v1", value: { a: [1, "x", null] }, tags: ["t"] },
    { keep: { variable: "id" } },
  ),
  post("variable that exists", "/variables/", { name: "v1", value: 1 }),
  post("variable without a value", "/variables/", { name: "v2" }),
  post("variable in capitals", "/variables/", { name: "V3", value: 1 }),
  post("variable of a null value", "/variables/", { name: "v4", value: null }),
  post("variable of a long value", "/variables/", { name: "v5", value: "x".repeat(5001) }),
  post("variable of a value that just fits", "/variables/", { name: "v6", value: "x".repeat(4998) }),
  post("variable without a name", "/variables/", { value: 1 }),
  post("variable of a long name", "/variables/", { name: "v".repeat(256), value: 1 }),
  post("variable with dashes at its end", "/variables/", { name: "v-", value: 1 }),
  get("variable by id", "/variables/$variable"),
  get("variable by name", "/variables/name/v1"),
  get("unknown variable", `/variables/${NOBODY}`),
  get("unknown variable by name", "/variables/name/zz"),
  get("variable by an id that is none", "/variables/abc"),
  patch("value of a variable", "/variables/name/v1", { value: "new" }),
  patch("value of a variable to null", "/variables/name/v1", { value: null }),
  get("variable of null", "/variables/name/v1"),
  patch("name of a variable, taken", "/variables/name/v1", { name: "v4" }),
  patch("unknown variable to change", "/variables/name/zz", { value: 1 }),
  patch("variable by id", "/variables/$variable", { value: 3, tags: [] }),
  get("variable that was changed by id", "/variables/$variable"),
  post("variables by name", "/variables/filter", { variables: { name: { like_: "V1" } } }),
  post("variables by tag", "/variables/filter", {
    variables: { tags: { is_null_: true } },
    sort: "NAME_DESC",
    limit: 1,
  }),
  post("variables, too many", "/variables/filter", { limit: 201 }),
  post("number of variables", "/variables/count"),
  remove("variable by name", "/variables/name/v1"),
  remove("variable by name again", "/variables/name/v1"),
  remove("unknown variable by id", `/variables/${NOBODY}`),
];

const limits = "/v2/concurrency_limits";

export const limitSteps: Step[] = [
  post("limit", `${limits}/`, { name: "l1", limit: 2 }, { keep: { limit: "id" } }),
  post("limit that exists", `${limits}/`, { name: "l1", limit: 2 }),
  post("limit without a number", `${limits}/`, { name: "l2" }),
  post("negative limit", `${limits}/`, { name: "l2", limit: -1 }),
  post("limit without a slash", limits, { name: "l3", limit: 1, slot_decay_per_second: 0.5, active: false }),
  get("limit by name", `${limits}/l1`),
  get("limit by id", `${limits}/$limit`),
  get("unknown limit", `${limits}/zz`),
  get("unknown limit by id", `${limits}/${NOBODY}`),
  patch("a limit", `${limits}/l1`, { limit: 3 }),
  patch("unknown limit to change", `${limits}/zz`, { limit: 3 }),
  post("limits", `${limits}/filter`, {}),
  post("limits, too many", `${limits}/filter`, { limit: 201 }),
  post("take slots", `${limits}/increment`, { slots: 1, names: ["l1"], mode: "concurrency" }),
  post("take slots of an unknown limit", `${limits}/increment`, { slots: 1, names: ["zz"] }),
  post("take slots of no limit", `${limits}/increment`, { slots: 1, names: [] }),
  post("take no slots", `${limits}/increment`, { slots: 0, names: ["l1"] }),
  post("take more slots than there can be", `${limits}/increment`, { slots: 9, names: ["l1"] }),
  post(
    "take slots with a lease",
    `${limits}/increment-with-lease`,
    {
      slots: 2,
      names: ["l1"],
      mode: "concurrency",
      lease_duration: 60,
      holder: { type: "flow_run", id: "$fr" },
    },
    { keep: { lease: "lease_id" } },
  ),
  get("limit that is full", `${limits}/l1`),
  post("take slots that are taken", `${limits}/increment-with-lease`, { slots: 1, names: ["l1"] }),
  post("take slots with a short lease", `${limits}/increment-with-lease`, {
    slots: 1,
    names: ["l1"],
    lease_duration: 1,
  }),
  post("renew a lease", `${limits}/leases/$lease/renew`, { lease_duration: 300 }),
  post("renew an unknown lease", `${limits}/leases/${NOBODY}/renew`, { lease_duration: 300 }),
  post("give slots back with a lease", `${limits}/decrement-with-lease`, { lease_id: "$lease" }),
  post("give slots back with a lease again", `${limits}/decrement-with-lease`, { lease_id: "$lease" }),
  post("give slots back", `${limits}/decrement`, { slots: 1, names: ["l1"], occupancy_seconds: 2 }),
  post("give slots back that nobody took", `${limits}/decrement`, { slots: 1, names: ["l1"] }),
  get("limit that is free", `${limits}/l1`),
  post("a lease on no limit", `${limits}/increment-with-lease`, { slots: 1, names: ["zz"], lease_duration: 60 }),
  remove("limit", `${limits}/l1`),
  remove("limit again", `${limits}/l1`),
];

const trigger = {
  type: "event",
  match: { "prefect.resource.id": "prefect.flow-run.*" },
  expect: ["prefect.flow-run.Completed"],
  posture: "Reactive",
  threshold: 1,
  within: 0,
};
const a1 = { name: "a1", trigger, actions: [{ type: "do-nothing" }] };

export const automationSteps: Step[] = [
  post(
    "automation",
    "/automations/",
    { ...a1, owner_resource: "prefect.deployment.x" },
    { keep: { automation: "id" } },
  ),
  post("automation without a name", "/automations/", { trigger, actions: [] }),
  post("automation without a trigger", "/automations/", { name: "a2", actions: [] }),
  post("automation with an unknown key", "/automations/", { ...a1, nothing: 1 }),
  get("automation by id", "/automations/$automation"),
  get("unknown automation", `/automations/${NOBODY}`),
  get("automation by an id that is none", "/automations/abc"),
  patch("automation off", "/automations/$automation", { enabled: false }),
  put("another automation", "/automations/$automation", { ...a1, description: "d" }),
  get("automation that was put", "/automations/$automation"),
  put("unknown automation to put", `/automations/${NOBODY}`, a1),
  post("automations", "/automations/filter"),
  post("automations by name", "/automations/filter", { automations: { name: { any_: ["zz"] } } }),
  post("number of automations", "/automations/count"),
  get("automations of a resource", "/automations/related-to/prefect.deployment.x"),
  remove("automations of an owner", "/automations/owned-by/prefect.deployment.x"),
  remove("automations of an owner again", "/automations/owned-by/prefect.deployment.x"),
  remove("unknown automation", `/automations/${NOBODY}`),
];

const fields = {
  title: "Box",
  type: "object",
  properties: {
    user: { title: "User", type: "string" },
    password: { title: "Password", type: "string", format: "password", writeOnly: true },
  },
  required: ["user"],
  block_type_slug: "box",
  secret_fields: ["password"],
  block_schema_references: {},
};

export const blockSteps: Step[] = [
  post("block type", "/block_types/", { name: "Box", slug: "box" }, { keep: { type: "id" } }),
  post("block type that exists", "/block_types/", { name: "Box", slug: "box" }),
  post("block type of a bad slug", "/block_types/", { name: "Other", slug: "Bad Slug" }),
  get("block type by slug", "/block_types/slug/box"),
  get("unknown block type", "/block_types/slug/zz"),
  patch("block type", "/block_types/$type", { description: "d" }),
  get("block type by id", "/block_types/$type"),
  post(
    "block schema",
    "/block_schemas/",
    { block_type_id: "$type", fields, capabilities: [], version: "1" },
    { keep: { schema: "id", checksum: "checksum" } },
  ),
  post("block schema again", "/block_schemas/", { block_type_id: "$type", fields, capabilities: [], version: "1" }),
  post("block schema of an unknown type", "/block_schemas/", { block_type_id: NOBODY, fields: {} }),
  get("block schema by checksum", "/block_schemas/checksum/$checksum"),
  get("block schema by checksum and version", "/block_schemas/checksum/$checksum?version=1"),
  get("unknown block schema", "/block_schemas/checksum/zz"),
  post(
    "block document",
    "/block_documents/",
    {
      name: "b1",
      block_type_id: "$type",
      block_schema_id: "$schema",
      data: { user: "u", password: "secret" },
    },
    { keep: { document: "id" } },
  ),
  post("block document that exists", "/block_documents/", {
    name: "b1",
    block_type_id: "$type",
    block_schema_id: "$schema",
  }),
  post("block document without a name", "/block_documents/", { block_type_id: "$type", block_schema_id: "$schema" }),
  post("block document in capitals", "/block_documents/", {
    name: "B1",
    block_type_id: "$type",
    block_schema_id: "$schema",
  }),
  get("block document", "/block_documents/$document"),
  get("block document with its secrets", "/block_documents/$document?include_secrets=true"),
  get("unknown block document", `/block_documents/${NOBODY}`),
  get("block document by name", "/block_types/slug/box/block_documents/name/b1"),
  get("block document by name with its secrets", "/block_types/slug/box/block_documents/name/b1?include_secrets=true"),
  get("unknown block document by name", "/block_types/slug/box/block_documents/name/zz"),
  get("block documents of a type", "/block_types/slug/box/block_documents"),
  patch("block document to change", "/block_documents/$document", { data: { user: "w" } }),
  get("block document that was changed", "/block_documents/$document?include_secrets=true"),
  patch("block document to change in whole", "/block_documents/$document", {
    data: { user: "x" },
    merge_existing_data: false,
  }),
  get("block document that was changed in whole", "/block_documents/$document?include_secrets=true"),
  post("block documents by a part of their name", "/block_documents/filter", {
    block_documents: { name: { like_: "B" }, is_anonymous: { eq_: false } },
  }),
  post("block documents by a version of their schema", "/block_documents/filter", {
    block_schemas: { version: { any_: ["nothing"] } },
  }),
  post("block schemas by what they can do", "/block_schemas/filter", {
    block_schemas: { block_capabilities: { all_: ["nothing"] } },
  }),
  post("block documents", "/block_documents/filter", { block_types: { slug: { any_: ["box"] } } }),
  remove("block document", "/block_documents/$document"),
  remove("block document again", "/block_documents/$document"),
];

export const artifactSteps: Step[] = [
  post(
    "artifact",
    "/artifacts/",
    { key: "k1", type: "markdown", data: "x", flow_run_id: "$fr" },
    { keep: { artifact: "id" } },
  ),
  post("artifact again", "/artifacts/", { key: "k1", type: "table", data: { a: [1] }, metadata_: { m: "n" } }),
  post("artifact of a bad key", "/artifacts/", { key: "A B" }),
  post("artifact of nothing", "/artifacts/", {}),
  get("artifact by id", "/artifacts/$artifact"),
  get("latest artifact", "/artifacts/k1/latest"),
  get("unknown latest artifact", "/artifacts/zz/latest"),
  get("unknown artifact", `/artifacts/${NOBODY}`),
  patch("artifact to change", "/artifacts/$artifact", { data: { a: 1 } }),
  patch("unknown artifact to change", `/artifacts/${NOBODY}`, { data: 1 }),
  post("artifacts by key", "/artifacts/filter", { artifacts: { key: { any_: ["k1"] }, type: { any_: ["markdown"] } } }),
  post("number of artifacts", "/artifacts/count"),
  remove("artifact", "/artifacts/$artifact"),
  remove("artifact again", "/artifacts/$artifact"),
];

const event = {
  id: "22222222-2222-4222-8222-222222222222",
  occurred: "2026-01-01T00:00:00Z",
  event: "test.happened",
  resource: { "prefect.resource.id": "test.x" },
};

export const eventSteps: Step[] = [
  post("events", "/events", [event]),
  post("events with a slash", "/events/", []),
  post("events that are none", "/events", [{ id: "x" }]),
  post("events without a resource id", "/events", [{ ...event, resource: {} }]),
  post("events by an unknown filter", "/events/filter", { filter: { event: { name: 5 } } }),
  post("too many events", "/events/filter", { limit: 51 }),
  get("next events of no page", "/events/filter/next?page-token=x"),
];
