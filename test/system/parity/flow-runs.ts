import { get, NOBODY, patch, post, remove, type Step } from "./step.ts";

const DUE = "2026-01-01T00:00:00.123456Z";
/** The five shapes in which clients write one point in time. */
const shapes: [name: string, time: unknown][] = [
  ["with a Z", DUE],
  ["with an offset", "2026-01-01T02:00:00.123456+02:00"],
  ["with a blank", "2026-01-01 00:00:00.123456+00:00"],
  ["without a zone", "2026-01-01T00:00:00.123456"],
  ["as unix seconds", 1767225600.5],
  ["as a date", "2026-01-01"],
  ["as milliseconds", 1767225600500],
  ["as digits", "1767225600"],
  ["that is none", "yesterday"],
  ["of a 31st of February", "2026-02-31T00:00:00Z"],
  ["of an hour 25", "2026-02-01T25:00:00Z"],
  ["as true", true],
];

const fromDeployment = "/deployments/$d1/create_flow_run";

export const flowRunSteps: Step[] = [
  post("run", fromDeployment, { name: "r1", tags: ["z"], parameters: { s: "b" } }, { keep: { r1: "id" } }),
  post("run with a slash", "/deployments/$d1/create_flow_run/", { name: "r0" }),
  post("run without a name", fromDeployment),
  post("run of an unknown deployment", `/deployments/${NOBODY}/create_flow_run`),
  post("run with parameters that do not fit", fromDeployment, { parameters: { n: "x" } }),
  post("run with a parameter too many", fromDeployment, { name: "r9", parameters: { n: 1, other: 1 } }),
  post("run whose parameters are not enforced", fromDeployment, {
    name: "r8",
    parameters: { n: "x" },
    enforce_parameter_schema: false,
  }),
  post("run with an unknown key", fromDeployment, { nothing: 1 }),
  post("run of no parameters", "/deployments/$d3/create_flow_run", { name: "r3" }, { keep: { r3: "id" } }),
  post("run with an idempotency key", fromDeployment, { name: "r2", idempotency_key: "k" }, { keep: { r2: "id" } }),
  post("run with that idempotency key again", fromDeployment, { name: "r2b", idempotency_key: "k" }),
  post("run with a JSON parameter", fromDeployment, {
    name: "r4",
    parameters: { n: { __prefect_kind: "json", value: "7" } },
  }),
  post("run with a broken JSON parameter", fromDeployment, {
    parameters: { n: { __prefect_kind: "json", value: "{" } },
  }),
  post("run with a JSON parameter without a value", fromDeployment, {
    name: "r4b",
    parameters: { n: { __prefect_kind: "json" } },
  }),
  post("run with a variable that is not there", fromDeployment, {
    parameters: { n: { __prefect_kind: "workspace_variable", variable_name: "nothing" } },
  }),
  post("run with a value of kind none", fromDeployment, {
    name: "r4c",
    parameters: { n: { __prefect_kind: "none", value: 4 } },
  }),
  post("run of an unknown kind of value", fromDeployment, {
    name: "r4d",
    parameters: { n: { __prefect_kind: "other", value: 4 } },
  }),
  ...shapes.map(([name, time], index) =>
    post(`run at a time ${name}`, fromDeployment, {
      name: `t${index}`,
      state: { type: "SCHEDULED", state_details: { scheduled_time: time } },
    }),
  ),
  post(
    "run that is due",
    fromDeployment,
    {
      name: "r5",
      state: { type: "SCHEDULED", message: "m", state_details: { scheduled_time: DUE } },
    },
    { keep: { r5: "id" } },
  ),
  post("run in a queue without a pool", "/deployments/$d3/create_flow_run", { name: "r6", work_queue_name: "x" }),
  post("run in a queue", fromDeployment, { name: "r7", work_queue_name: "q1" }),
  post("run in a queue that is not there", fromDeployment, { name: "r7b", work_queue_name: "newq" }),
  post("run of a flow", "/flow_runs/", { flow_id: "$flow", name: "fr" }, { keep: { fr: "id" } }),
  post("run of a flow without a slash", "/flow_runs", { flow_id: "$flow", name: "fr2" }),
  post("run of a flow with an idempotency key", "/flow_runs/", { flow_id: "$flow", name: "fr3", idempotency_key: "i" }),
  post("run of a flow with that key again", "/flow_runs/", { flow_id: "$flow", name: "fr4", idempotency_key: "i" }),
  post("run of a flow in a pool", "/flow_runs/", {
    flow_id: "$flow",
    name: "frp",
    work_pool_name: "p1",
    state: { type: "SCHEDULED" },
  }),
  post("run of a flow in an unknown pool", "/flow_runs/", { flow_id: "$flow", name: "frq", work_pool_name: "zz" }),
  post("run of an unknown flow", "/flow_runs/", { flow_id: NOBODY, name: "fr" }),
  post("run of no flow", "/flow_runs/", { name: "fr" }),
  post("run of a flow in an unknown state", "/flow_runs/", { flow_id: "$flow", state: { type: "X" } }),
  post("run of a flow with all it can have", "/flow_runs/", {
    flow_id: "$flow",
    name: "all",
    flow_version: "7",
    parameters: { deep: { list: [1, 2.5, null, "ü"] } },
    context: { a: 1 },
    empirical_policy: { retries: 2, retry_delay: 3 },
    tags: ["b", "a"],
    labels: { x: "y", n: 1, f: 1.5, b: true },
    state: { type: "RUNNING", name: "Walking", message: "m" },
  }),
  get("run by id", "/flow_runs/$r1"),
  get("run by id with a slash", "/flow_runs/$r1/"),
  get("unknown run", `/flow_runs/${NOBODY}`),
  get("run by an id that is none", "/flow_runs/abc"),
  patch("what a worker adds to a run", "/flow_runs/$r1", { infrastructure_pid: "x:1" }),
  patch("what an engine adds to a run", "/flow_runs/$r1", {
    flow_version: "3",
    empirical_policy: { retries: 2, retry_delay: 3 },
  }),
  get("run after that", "/flow_runs/$r1"),
  patch("nothing of a run", "/flow_runs/$r1", {}),
  get("run of which nothing was changed", "/flow_runs/$r1"),
  patch("parameters and tags of a run", "/flow_runs/$r3", {
    parameters: { a: 2 },
    tags: [],
    job_variables: { env: {} },
  }),
  get("run with other parameters", "/flow_runs/$r3"),
  patch("unknown run to change", `/flow_runs/${NOBODY}`, { name: "x" }),
  patch("unknown key of a run", "/flow_runs/$r1", { nothing: 1 }),
  patch("labels of a run", "/flow_runs/$r1/labels", { a: 1, b: "c" }),
  patch("labels of an unknown run", `/flow_runs/${NOBODY}/labels`, { a: 1 }),
  get("run with labels", "/flow_runs/$r1"),
  post("input of a run", "/flow_runs/$r1/input", { key: "k", value: '"v"' }),
  post("input of a run again", "/flow_runs/$r1/input", { key: "k", value: "v" }),
  post("input of an unknown run", `/flow_runs/${NOBODY}/input`, { key: "k", value: "v" }),
  post("input with a slash in its key", "/flow_runs/$r1/input", { key: "a/b", value: "v" }),
  get("input", "/flow_runs/$r1/input/k"),
  get("unknown input", "/flow_runs/$r1/input/zz"),
  post("inputs by prefix", "/flow_runs/$r1/input/filter", { prefix: "k" }),
  post("inputs but some", "/flow_runs/$r1/input/filter", { prefix: "", exclude_keys: ["k"] }),
  remove("input of a run", "/flow_runs/$r1/input/k"),
  remove("input of a run again", "/flow_runs/$r1/input/k"),
];

const scheduled = "/work_pools/p1/get_scheduled_flow_runs";

/** Prefect sends the rows of its database here, without their pools; we send runs as everywhere. */
function poll(name: string, path: string, body: unknown): Step {
  return post(name, path, body, { view: listPolled });
}

/** Cell by cell, so that ids and times are compared as what they are. */
function listCells(body: unknown): unknown {
  return typeof body === "string" ? body.split("\r\n").map((line) => line.split(",")) : body;
}

function listPolled(body: unknown): unknown {
  return Array.isArray(body)
    ? body.map((item) => ({ keys: Object.keys(item), queue: item.work_queue_id, run: item.flow_run.name }))
    : body;
}

export const pollSteps: Step[] = [
  poll("due runs", scheduled, { work_queue_names: [], scheduled_before: "2026-06-01 00:00:00+00:00" }),
  poll("one due run", scheduled, { scheduled_before: "2026-06-01T00:00:00Z", limit: 1 }),
  poll("runs after a time", scheduled, {
    scheduled_after: "2026-01-01T00:00:00.2Z",
    scheduled_before: "2026-06-01T00:00:00Z",
  }),
  poll("due runs of a queue", scheduled, { work_queue_names: ["q1"] }),
  post("due runs of an unknown queue", scheduled, { work_queue_names: ["zz"] }),
  post("due runs of an unknown pool", "/work_pools/zz/get_scheduled_flow_runs"),
  post("too many due runs", scheduled, { limit: 500 }),
  post("due runs of a negative limit", scheduled, { limit: -1 }),
  patch("room for one run", "/work_pools/p1", { concurrency_limit: 1 }),
  poll("due runs where there is room for one", scheduled, { scheduled_before: "2026-06-01T00:00:00Z" }),
  get("pool with room for one", "/work_pools/p1"),
  patch("room for all", "/work_pools/p1", { concurrency_limit: null, is_paused: true }),
  poll("due runs of a paused pool", scheduled, { scheduled_before: "2026-06-01T00:00:00Z" }),
  patch("pool goes on", "/work_pools/p1", { is_paused: false }),
  get("deployment that was polled", "/deployments/$d1"),
];

export const readRunSteps: Step[] = [
  post("runs by name", "/flow_runs/filter", { flow_runs: { name: { any_: ["r1"] } } }),
  post("runs by all tags", "/flow_runs/filter", { flow_runs: { tags: { all_: ["z", "t"] } } }),
  post("runs by no tags", "/flow_runs/filter", { flow_runs: { tags: { all_: [] }, name: { any_: ["r1"] } } }),
  post("runs by state and more", "/flow_runs/filter", {
    flow_runs: { state: { type: { any_: ["COMPLETED"] } } },
    deployments: { name: { any_: ["d1"] } },
    work_pools: { name: { any_: ["p1"] } },
    sort: "START_TIME_DESC",
  }),
  post("runs by name, in order", "/flow_runs/filter", {
    flow_runs: { name: { like_: "FR" } },
    sort: "NAME_DESC",
    limit: 2,
    offset: 1,
  }),
  post("runs by the time they were due", "/flow_runs/filter", {
    flow_runs: { expected_start_time: { before_: "2026-01-01T00:00:00.123456Z" } },
    sort: "NAME_ASC",
  }),
  post("runs without a deployment", "/flow_runs/filter", {
    flow_runs: { deployment_id: { is_null_: true }, name: { any_: ["fr", "late", "forced", "retried", "too_early"] } },
    sort: "NAME_ASC",
  }),
  post("runs by an idempotency key", "/flow_runs/filter", { flow_runs: { idempotency_key: { any_: ["k"] } } }),
  post("runs of an unknown state", "/flow_runs/filter", { flow_runs: { state: { type: { any_: ["X"] } } } }),
  post("runs, too many", "/flow_runs/filter", { limit: 201 }),
  post("runs of a negative offset", "/flow_runs/filter", { offset: -1 }),
  post("runs of a limit that is a text", "/flow_runs/filter", { limit: "x" }),
  post("runs of an unknown order", "/flow_runs/filter", { sort: "NOTHING" }),
  post("number of runs", "/flow_runs/count", { flow_runs: { state: { type: { any_: ["COMPLETED"] } } } }),
  post("a page of runs", "/flow_runs/paginate", { flow_runs: { name: { any_: ["r1"] } } }),
  get("states of a run", "/flow_run_states/?flow_run_id=$r1"),
  get("states of a run, with the id of the first", "/flow_run_states/?flow_run_id=$r1", {
    keep: { stateOfR1: "0.id" },
  }),
  get("state by id", "/flow_run_states/$stateOfR1"),
  get("unknown state", `/flow_run_states/${NOBODY}`),
  get("states of an unknown run", `/flow_run_states/?flow_run_id=${NOBODY}`),
  get("states of no run", "/flow_run_states/"),
  post("log lines", "/logs/", [
    {
      name: "n",
      level: 20,
      message: "hello",
      timestamp: "2026-01-01T00:00:00.1+00:00",
      flow_run_id: "$r1",
    },
    { name: "n", level: 30, message: "w%rn", timestamp: 1767225601.5, flow_run_id: "$r1" },
    { name: "m", level: 40, message: "über", timestamp: "2026-01-01 00:00:02", flow_run_id: "$r1" },
  ]),
  post("log line of a client that names its worker", "/logs/", [
    { name: "w", level: 20, message: "m", timestamp: "2026-01-01T00:00:00Z", worker_id: null },
  ]),
  get("lines of a run as a file", "/flow_runs/$r1/logs/download", { view: listCells }),
  get("lines of an unknown run as a file", `/flow_runs/${NOBODY}/logs/download`),
  post("log lines without a slash", "/logs", []),
  post("log lines that are none", "/logs/", [{ name: 1 }]),
  post("log lines that are no list", "/logs/", { name: "n" }),
  post("lines of a run", "/logs/filter", {
    logs: { flow_run_id: { any_: ["$r1"] } },
    limit: 200,
    offset: 0,
    sort: "TIMESTAMP_ASC",
  }),
  post("lines of a run from the end", "/logs/filter", {
    logs: { flow_run_id: { any_: ["$r1"] } },
    sort: "TIMESTAMP_DESC",
    limit: 1,
  }),
  post("lines by level", "/logs/filter", { logs: { level: { ge_: 30, le_: 30 }, flow_run_id: { any_: ["$r1"] } } }),
  post("lines by time", "/logs/filter", {
    logs: { timestamp: { after_: "2026-01-01T00:00:01Z" }, flow_run_id: { any_: ["$r1"] } },
  }),
  post("lines without a task run", "/logs/filter", {
    logs: { task_run_id: { is_null_: true }, flow_run_id: { any_: ["$r1"] } },
  }),
  post("lines, too many", "/logs/filter", { limit: 201 }),
  post("lines of an unknown order", "/logs/filter", { sort: "NOTHING" }),
];

export const removeSteps: Step[] = [
  remove("run", "/flow_runs/$r1"),
  remove("run again", "/flow_runs/$r1"),
  remove("deployment", "/deployments/$d1"),
  remove("deployment again", "/deployments/$d1"),
  get("run of a deployment that is gone", "/flow_runs/$r2"),
  remove("pool with all it has", "/work_pools/p1"),
  get("deployment whose pool is gone", "/deployments/$d2"),
  remove("flow", "/flows/$flow"),
  remove("flow again", "/flows/$flow"),
  get("deployment whose flow is gone", "/deployments/$d3"),
];
