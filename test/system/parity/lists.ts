import { NOBODY, post, type Step } from "./step.ts";

/** Every operator of every filter, alone and with others: how many objects each server finds. */
function counts(path: string, key: string, filters: Record<string, unknown>, rest: object = {}): Step[] {
  return Object.entries(filters).map(([name, filter]) =>
    post(`count of ${key} ${name}`, path, { [key]: filter, ...rest }),
  );
}

/** How they are made is compared elsewhere. */
function viewName(body: unknown): unknown {
  return typeof body === "object" && body !== null && "name" in body ? body.name : body;
}

function run(name: string, body: object): Step {
  const sent = { flow_id: "$lists", name, ...body };
  return post(`run ${name} to be listed`, "/flow_runs/", sent, { keep: { [name]: "id" }, view: viewName });
}

const FUTURE = { type: "SCHEDULED", state_details: { scheduled_time: "2090-01-01T00:00:00Z" } };

/** A flow whose runs nothing else touches. */
export const listedSteps: Step[] = [
  post("flow of runs to be listed", "/flows/", { name: "lists", tags: ["l"] }, { keep: { lists: "id" } }),
  post(
    "deployment of runs to be listed",
    "/deployments/",
    { name: "lists", flow_id: "$lists", work_pool_name: "p1", tags: ["t"] },
    { keep: { dl: "id" }, view: viewName },
  ),
  run("l1", { state: { type: "COMPLETED" }, tags: ["z", "t"] }),
  run("l2", { state: { type: "FAILED" }, tags: ["b"], idempotency_key: "lk" }),
  run("l3", { state: { type: "RUNNING", name: "Walking" }, flow_version: "7" }),
  run("l4", { state: FUTURE, tags: ["z"] }),
  run("l5", { state: { type: "CANCELLED" } }),
  run("l6", { flow_version: "3" }),
  post(
    "run l7 to be listed",
    "/deployments/$dl/create_flow_run",
    { name: "l7", state: FUTURE },
    { keep: { l7: "id" } },
  ),
  post("run l8 to be listed", "/deployments/$dl/create_flow_run", { name: "l8", state: FUTURE, work_queue_name: "lq" }),
  post(
    "task run to be listed",
    "/task_runs/",
    { task_key: "l", dynamic_key: "0", flow_run_id: "$l3", name: "tl" },
    { keep: { tl: "id" } },
  ),
  run("l9", { parent_task_run_id: "$tl" }),
];

const ofLists = { flows: { name: { any_: ["lists"] } } };

const LONG_AGO = "2000-01-01T00:00:00Z";
const FAR_AWAY = "2100-01-01T00:00:00Z";
const times = {
  "before long ago": { before_: LONG_AGO },
  "after long ago": { after_: LONG_AGO },
  "before far away": { before_: FAR_AWAY },
  "between both": { after_: LONG_AGO, before_: FAR_AWAY },
};

function timesOf(key: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(times).map(([name, range]) => [`by ${key} ${name}`, { [key]: range }]));
}

const flowRunFilters = {
  "by nothing": {},
  "by null": null,
  "by ids": { id: { any_: ["$l1", "$l2", NOBODY] } },
  "by no ids": { id: { any_: [] } },
  "but one id": { id: { not_any_: ["$l1"] } },
  "but none of no ids": { id: { not_any_: [] } },
  "by two names": { name: { any_: ["l1", "l2"] } },
  "by an empty part of the name": { name: { like_: "" } },
  "by a part of the name": { name: { like_: "L" } },
  "by a name and a part of it": { name: { any_: ["l1", "l2"], like_: "1" } },
  "by all of two tags": { tags: { all_: ["z", "t"] } },
  "by any of two tags": { tags: { any_: ["z", "b"] } },
  "by any of no tags": { tags: { any_: [] } },
  "by all of no tags": { tags: { all_: [] } },
  "without tags": { tags: { is_null_: true } },
  "with tags": { tags: { is_null_: false } },
  "without tags or with one": { tags: { operator: "or_", is_null_: true, all_: ["z"] } },
  "by their deployment": { deployment_id: { any_: ["$dl"] } },
  "with a deployment": { deployment_id: { is_null_: false } },
  "with no deployment or one": { deployment_id: { operator: "or_", any_: ["$dl"], is_null_: true } },
  "by their queue": { work_queue_name: { any_: ["lq"] } },
  "without a queue": { work_queue_name: { is_null_: true } },
  "without a queue or in one": { work_queue_name: { operator: "or_", is_null_: true, any_: ["lq"] } },
  "by type": { state: { type: { any_: ["SCHEDULED", "RUNNING"] } } },
  "but one type": { state: { type: { not_any_: ["SCHEDULED"] } } },
  "by type but one": { state: { type: { any_: ["SCHEDULED", "RUNNING"], not_any_: ["SCHEDULED"] } } },
  "by the name of their state": { state: { name: { any_: ["Completed", "Walking"] } } },
  "but the name of a state": { state: { name: { not_any_: ["Completed"] } } },
  "by type or name": { state: { operator: "or_", type: { any_: ["FAILED"] }, name: { any_: ["Walking"] } } },
  "by type or nothing": { state: { operator: "or_", type: { any_: ["FAILED"] }, name: {} } },
  "by no state": { state: {} },
  "by version": { flow_version: { any_: ["7", "3"] } },
  ...timesOf("start_time"),
  ...timesOf("end_time"),
  ...timesOf("expected_start_time"),
  ...timesOf("next_scheduled_start_time"),
  "that have not started": { start_time: { is_null_: true } },
  "that have started": { start_time: { is_null_: false } },
  "that have not ended": { end_time: { is_null_: true } },
  "that have ended": { end_time: { is_null_: false, after_: LONG_AGO } },
  "that have an expected start": { expected_start_time: { is_null_: false } },
  "of a run": { parent_flow_run_id: { any_: ["$l3"] } },
  "of nothing": { parent_task_run_id: { is_null_: true } },
  "of a task run": { parent_task_run_id: { any_: ["$tl"] } },
  "by idempotency keys": { idempotency_key: { any_: ["lk", "i"] } },
  "but an idempotency key": { idempotency_key: { not_any_: ["lk"] } },
  "made by nobody": { created_by: { is_null_: true } },
  "made by an automation": { created_by: { type_: ["AUTOMATION"] } },
  "made by nobody or an automation": { created_by: { operator: "or_", type_: ["AUTOMATION"], is_null_: true } },
  "by one thing or another": { operator: "or_", name: { any_: ["l1"] }, state: { type: { any_: ["FAILED"] } } },
  "by a name and its part, or more": { operator: "or_", name: { any_: ["l1"], like_: "zz" }, id: { any_: ["$l2"] } },
  "by a start and none, or more": {
    operator: "or_",
    start_time: { before_: LONG_AGO, is_null_: false },
    id: { any_: ["$l2"] },
  },
  "by one thing or nothing": { operator: "or_", name: { any_: ["l1"] }, state: {} },
  "by an unknown operator": { operator: "xor_" },
  "by an unknown key": { nothing: {} },
  "by an unknown part of a key": { name: { is_null_: true } },
};

const flowFilters = {
  "by nothing": {},
  "by id": { id: { any_: ["$flow"] } },
  "but one id": { id: { not_any_: ["$flow"] } },
  "without deployments": { deployment: { is_null_: true } },
  "with deployments": { deployment: { is_null_: false } },
  "by a part of the name": { name: { like_: "F" } },
  "by all of no tags": { tags: { all_: [] } },
  "without tags": { tags: { is_null_: true } },
  "by any tag": { tags: { any_: ["t"] } },
  "by name or tags": { operator: "or_", name: { any_: ["f1"] }, tags: { all_: ["zz"] } },
};

const deploymentFilters = {
  "by nothing": {},
  "by id": { id: { any_: ["$dl"] } },
  "but one id": { id: { not_any_: ["$dl"] } },
  "by a part of the name": { name: { like_: "LIST" } },
  "by a part of either name": { flow_or_deployment_name: { like_: "ist" } },
  "that are paused": { paused: { eq_: true } },
  "that are not paused": { paused: { eq_: false } },
  "by all tags": { tags: { all_: ["t"] } },
  "by any of no tags": { tags: { any_: [] } },
  "without tags": { tags: { is_null_: true } },
  "by their queue": { work_queue_name: { any_: ["default"] } },
  "by their limit": { concurrency_limit: { is_null_: true } },
};

const taskRunFilters = {
  "by nothing": {},
  "by id": { id: { any_: [NOBODY] } },
  "by a part of the name": { name: { like_: "T" } },
  "without tags": { tags: { is_null_: true } },
  "by any tag": { tags: { any_: ["t"] } },
  "by type": { state: { type: { any_: ["RUNNING", "COMPLETED", "PENDING"] } } },
  "but a type": { state: { type: { not_any_: ["RUNNING"] } } },
  "of a run": { flow_run_id: { any_: ["$l3"] } },
  "of some run": { flow_run_id: {} },
  "of no run": { flow_run_id: { is_null_: true } },
  "of any run": { flow_run_id: { is_null_: false } },
  "of a run or none": { flow_run_id: { operator: "or_", any_: ["$l3"], is_null_: true } },
  "that stand for a run": { subflow_runs: { exists_: true } },
  "that stand for no run": { subflow_runs: { exists_: false } },
  ...timesOf("start_time"),
  ...timesOf("expected_start_time"),
};

/** Of flows, runs, deployments and pools, in each list. */
const crossings: Record<string, unknown> = {
  "by flow": ofLists,
  "by a flow that is not there": { flows: { name: { any_: ["zz"] } } },
  "by deployment": { deployments: { name: { any_: ["lists"] } } },
  "by pool": { ...ofLists, work_pools: { name: { any_: ["p1"] } } },
  "by pool and queue": {
    ...ofLists,
    work_pools: { name: { any_: ["p1"] } },
    work_pool_queues: { name: { startswith_: ["LQ"] } },
  },
  "by run": { flow_runs: { name: { any_: ["l7"] } } },
  "by task run": { task_runs: { name: { any_: ["tl"] } } },
  "by run and task run": { flow_runs: { name: { any_: ["l3"] } }, task_runs: { name: { like_: "T" } } },
  "by all": {
    ...ofLists,
    flow_runs: { state: { type: { not_any_: ["CRASHED"] } } },
    deployments: { tags: { is_null_: false } },
    work_pools: { type: { any_: ["docker", "process"] } },
  },
};

function crossed(path: string, of: string): Step[] {
  return Object.entries(crossings).map(([name, body]) => post(`${of} ${name}`, path, body));
}

export const filterSteps: Step[] = [
  ...counts("/flow_runs/count", "flow_runs", flowRunFilters, ofLists),
  ...counts("/flows/count", "flows", flowFilters),
  ...counts("/deployments/count", "deployments", deploymentFilters, ofLists),
  ...counts("/task_runs/count", "task_runs", taskRunFilters, ofLists),
  ...crossed("/flow_runs/count", "number of runs"),
  ...crossed("/flows/count", "number of flows"),
  ...crossed("/deployments/count", "number of deployments"),
  ...counts("/work_pools/count", "work_pools", {
    "by nothing": {},
    "by name": { name: { any_: ["p1"] } },
    "by type": { type: { any_: ["docker"] } },
    "by id or name": { operator: "or_", id: { any_: [NOBODY] }, name: { any_: ["p1"] } },
  }),
  ...counts("/variables/count", "variables", {
    "by a part of the name": { name: { like_: "V" } },
    "without tags": { tags: { is_null_: true } },
    "by any tag": { tags: { any_: ["t"] } },
  }),
];

const names = ["r1", "r2", "r3", "fr", "fr2", "all"];
const named = { flow_runs: { name: { any_: names } } };

/** Names of runs: the runs themselves are compared elsewhere. */
function listNames(body: unknown): unknown {
  return Array.isArray(body) ? body.map(({ name }) => name) : body;
}

function ordered(sort: string): Step {
  return post(`runs in the order ${sort}`, "/flow_runs/filter", { ...named, sort, limit: 3 }, { view: listNames });
}

const history = { history_start: "2025-12-31T00:00:00Z", history_end: "2026-01-03T00:00:00Z" };
const DAY = 86_400;

export const listSteps: Step[] = [
  ...["START_TIME_ASC", "EXPECTED_START_TIME_ASC", "NAME_ASC", "NAME_DESC"].map(ordered),
  post(
    "a second page of runs",
    "/flow_runs/paginate",
    { ...named, sort: "NAME_ASC", limit: 2, page: 2 },
    {
      view: (body) => (isPage(body) ? { ...body, results: listNames(body.results) } : body),
    },
  ),
  post("a page of runs beyond the last", "/flow_runs/paginate", { ...named, limit: 2, page: 9 }),
  post("a page of no runs", "/flow_runs/paginate", { ...named, limit: 0 }),
  post("page nought of runs", "/flow_runs/paginate", { page: 0 }),
  post("a page of too many runs", "/flow_runs/paginate", { limit: 201 }),
  post("a page of one flow", "/flows/paginate", { flows: { name: { any_: ["f1"] } } }),
  post("a page of no deployments", "/deployments/paginate", { deployments: { name: { any_: ["zz"] } }, limit: 3 }),
  post("a page of task runs", "/task_runs/paginate", { task_runs: { name: { any_: ["zz"] } }, limit: 3 }),
  post("history of runs", "/flow_runs/history", {
    ...history,
    history_interval_seconds: DAY,
    flow_runs: { name: { like_: "t" }, state: { type: { any_: ["SCHEDULED"] } } },
  }),
  post("history of no time", "/flow_runs/history", {
    history_start: history.history_end,
    history_end: history.history_start,
    history_interval_seconds: DAY,
  }),
  post("history of short intervals", "/flow_runs/history", { ...history, history_interval_seconds: 0.5 }),
  post("history of more intervals than are told", "/flow_runs/history", {
    ...history,
    history_interval_seconds: 60,
    flows: { name: { any_: ["zz"] } },
  }),
  post("history without a start", "/flow_runs/history", { history_interval_seconds: DAY }),
  post("history of task runs", "/task_runs/history", { ...history, history_interval_seconds: DAY }),
  post("lateness of nothing", "/flow_runs/lateness", { flows: { name: { any_: ["zz"] } } }),
  post(
    "lateness of a run that waits",
    "/flow_runs/lateness",
    { flow_runs: { id: { any_: ["$r1"] } } },
    {
      view: (body) => typeof body,
    },
  ),
  post("lines that hold a word", "/logs/filter", { logs: { text: { query: "hello" } } }),
  post("lines that do not hold a word", "/logs/filter", {
    logs: { text: { query: "-hello" }, flow_run_id: { any_: ["$r1"] } },
    sort: "TIMESTAMP_DESC",
  }),
  post("lines that hold a phrase, or a word", "/logs/filter", { logs: { text: { query: '"w%rn n" hello' } } }),
  post("lines by a long text", "/logs/filter", { logs: { text: { query: "x".repeat(201) } } }),
  post("lines by level or text", "/logs/filter", {
    logs: { operator: "or_", level: { ge_: 40 }, text: { query: "hello" } },
    sort: "TIMESTAMP_ASC",
  }),
  post(
    "queues that start with",
    "/work_pools/p1/queues/filter",
    { work_queues: { name: { startswith_: ["Q"] } } },
    {
      view: listNames,
    },
  ),
  post("workers that are online", "/work_pools/p1/workers/filter", { workers: { status: { any_: ["ONLINE"] } } }),
  post("workers that are not", "/work_pools/p1/workers/filter", { workers: { status: { not_any_: ["ONLINE"] } } }),
  post("workers heard of long ago", "/work_pools/p1/workers/filter", {
    workers: { last_heartbeat_time: { before_: LONG_AGO } },
  }),
  post("latest artifacts", "/artifacts/latest/filter", { artifacts: { key: { any_: ["latest-1"] } } }),
  post("number of latest artifacts by an id of another kind", "/artifacts/latest/count", {
    artifacts: { id: { any_: [NOBODY] } },
  }),
  post("number of latest artifacts by nobody's id", "/artifacts/latest/count", {
    artifacts: { latest_id: { any_: [NOBODY] } },
  }),
];

function isPage(body: unknown): body is { results: unknown } {
  return typeof body === "object" && body !== null && "results" in body;
}

export const bulkSteps: Step[] = [
  post("runs in bulk", "/deployments/$d1/create_flow_run/bulk", [{ name: "bulk1" }, { name: "bulk2" }], {
    view: (body) => (isResults(body) ? body.results.map(({ status, error }) => ({ status, error })) : body),
  }),
  post("no runs in bulk", "/deployments/$d1/create_flow_run/bulk", []),
  post("no runs in bulk of an unknown deployment", `/deployments/${NOBODY}/create_flow_run/bulk`, []),
  post("runs in bulk, too many", "/deployments/$d1/create_flow_run/bulk", Array(101).fill({})),
  post(
    "runs in bulk, one of which does not fit",
    "/deployments/$d1/create_flow_run/bulk",
    [{ parameters: { n: "x" } }],
    { view: (body) => (isResults(body) ? body.results.map(({ status }) => status) : body) },
  ),
  post(
    "state of runs in bulk",
    "/flow_runs/bulk_set_state",
    {
      flow_runs: { name: { any_: ["bulk1", "bulk2"] } },
      state: { type: "CANCELLED", message: "m" },
    },
    { view: (body) => (isResults(body) ? body.results.map(({ status, details }) => ({ status, details })) : body) },
  ),
  post("state of no runs in bulk", "/flow_runs/bulk_set_state", {
    flow_runs: { name: { any_: ["zz"] } },
    state: { type: "CANCELLED" },
  }),
  post("no state in bulk", "/flow_runs/bulk_set_state", { flow_runs: { name: { any_: ["zz"] } } }),
  post(
    "removal of runs in bulk",
    "/flow_runs/bulk_delete",
    { flow_runs: { name: { any_: ["bulk1", "bulk2"] } } },
    {
      view: (body) => (isDeleted(body) ? body.deleted.length : body),
    },
  ),
  post("removal of runs that are gone", "/flow_runs/bulk_delete", { flow_runs: { name: { any_: ["bulk1"] } } }),
  post("removal of too many runs", "/flow_runs/bulk_delete", { limit: 51 }),
  post("removal of nought runs", "/flow_runs/bulk_delete", { limit: 0 }),
  post("removal of deployments in bulk", "/deployments/bulk_delete", { deployments: { name: { any_: ["zz"] } } }),
  post("removal of flows in bulk", "/flows/bulk_delete", { flows: { name: { any_: ["zz"] } } }),
];

function isResults(body: unknown): body is { results: Record<string, unknown>[] } {
  return isPage(body) && Array.isArray(body.results);
}

function isDeleted(body: unknown): body is { deleted: unknown[] } {
  return typeof body === "object" && body !== null && "deleted" in body && Array.isArray(body.deleted);
}
