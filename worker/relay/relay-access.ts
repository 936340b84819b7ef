import { isUuid } from "../../src/prefect-api/primitives.ts";
import type { RunIdentity } from "./run-token.ts";

/** What runs may change at the plane: themselves and what they made, or whatever a client of Prefect's may. */
export const RUNS_REACH = ["own", "all"] as const;
export type RunsReach = (typeof RUNS_REACH)[number];

/** A run that a request changes, or gives something. */
export interface Target {
  kind: "flow_run" | "task_run";
  id: string;
}

export interface AccessRefusal {
  status: number;
  body: { exception_message: string; code: string };
}

export type Access =
  | { kind: "open" }
  | { kind: "refused"; refusal: AccessRefusal }
  /** Only if the target is the run's own. */
  | { kind: "own"; target: Target }
  /** Only if the runs that its body names are the run's own. */
  | { kind: "creates"; key: "parent_task_run_id" | "flow_run_id" };

interface Route {
  methods: ReadonlySet<string>;
  path: RegExp;
}

const ANY = new Set(["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]);
const WRITES = new Set(["POST", "PATCH", "PUT", "DELETE"]);
const READS = "(?:filter|count|paginate|history|concurrency_status)";

/** What is no business of a flow: to change who works, what is deployed as a release, or who holds which run. */
const CLOSED: readonly Route[] = [
  { methods: ANY, path: /^\/api\/flowyard\/(?!capabilities\/?$)/ },
  { methods: WRITES, path: /^\/api\/admin\// },
  { methods: new Set(["DELETE", "PATCH", "PUT"]), path: /^\/api\/work_(?:pools|queues)\// },
  { methods: new Set(["POST"]), path: new RegExp(`^/api/work_(?:pools|queues)(?!.*/${READS}$)`) },
  { methods: new Set(["POST"]), path: /^\/api\/deployments\/get_scheduled_flow_runs$/ },
];

/** What reaches beyond a run by its nature. */
const BEYOND_ITSELF: readonly Route[] = [
  { methods: WRITES, path: new RegExp(`^/api/automations(?!/${READS}$)`) },
  { methods: WRITES, path: /^\/api\/[a-z_]+\/bulk_[a-z_]+$/ },
  { methods: new Set(["DELETE"]), path: /^\/api\/(?:flows|deployments|concurrency_limits|v2\/concurrency_limits)\// },
  { methods: new Set(["POST"]), path: /^\/api\/concurrency_limits\/tag\/[^/]+\/reset$/ },
];

/** Sockets that flows and their clients open. */
const SOCKETS: ReadonlySet<string> = new Set([
  "/api/events/in",
  "/api/events/out",
  "/api/logs/out",
  "/api/task_runs/subscriptions/scheduled",
]);

/** `input`: flows send each other what they wait for, and a pause tells who may go on with it. */
const ONE_RUN = /^\/api\/(flow_run|task_run)s\/([^/]+)(\/.*)?$/;
const ABOUT_MANY = new RegExp(`^(?:${READS}|lateness)$`);
const FOR_ANYBODY = /^\/input(?:\/filter)?$/;

const CREATES: readonly { path: RegExp; key: "parent_task_run_id" | "flow_run_id" }[] = [
  { path: /^\/api\/flow_runs$/, key: "parent_task_run_id" },
  { path: /^\/api\/deployments\/[^/]+\/create_flow_run(?:\/bulk)?$/, key: "parent_task_run_id" },
  { path: /^\/api\/task_runs$/, key: "flow_run_id" },
];

interface Question {
  method: string;
  url: string;
  isSocket: boolean;
  use: RunIdentity["use"];
  reach: RunsReach;
}

/** Pure. A flow may do what Prefect's client offers to flows; the worker's key is not theirs, nor are others' runs. */
export function decideAccess({ method, url, isSocket, use, reach }: Question): Access {
  const path = readPath(url);
  const matches = ({ methods, path: pattern }: Route) => methods.has(method) && pattern.test(path ?? "");
  if (path === undefined || CLOSED.some(matches) || (isSocket && !SOCKETS.has(path))) {
    return refuse(`A flow run's token may not ${method} ${path ?? url}.`);
  }
  if (use === "worker") {
    return method === "POST" && path === "/api/logs" ? OPEN : refuse("A worker's token only leaves lines here.");
  }
  if (reach === "all" || !WRITES.has(method)) {
    return OPEN;
  }
  return BEYOND_ITSELF.some(matches) ? refuseBeyond(method, path) : decideByRun(method, path);
}

const OPEN: Access = { kind: "open" };

function decideByRun(method: string, path: string): Access {
  const creates = method === "POST" ? CREATES.find((route) => route.path.test(path)) : undefined;
  if (creates !== undefined) {
    return { kind: "creates", key: creates.key };
  }
  const [, what, id = "", rest = ""] = ONE_RUN.exec(path) ?? [];
  if (what === undefined || (method === "POST" && (ABOUT_MANY.test(id) || FOR_ANYBODY.test(rest)))) {
    return OPEN;
  }
  const kind = what === "flow_run" ? "flow_run" : "task_run";
  return isUuid(id) ? { kind: "own", target: { kind, id: id.toLowerCase() } } : refuseBeyond(method, path);
}

/** What a run is told that would change another one. */
export function refuseBeyond(method: string, path: string): Access & { kind: "refused" } {
  return refuse(
    `A flow run's token may not ${method} ${path}: a run changes itself and the runs that it made. ` +
      "The operator may allow more: FLOWYARD_RELAY_RUNS_REACH=all where the worker or relay is started.",
  );
}

function refuse(exception_message: string): Access & { kind: "refused" } {
  return { kind: "refused", refusal: { status: 403, body: { exception_message, code: "RUN_TOKEN_REFUSED" } } };
}

/** The token of a run that has ended. */
export const TOKEN_ENDED: AccessRefusal = {
  status: 403,
  body: {
    exception_message:
      "This flow run has ended, and its token with it. What goes on for longer after a run's end: FLOWYARD_RELAY_TOKEN_GRACE_SECONDS.",
    code: "RUN_TOKEN_ENDED",
  },
};

/**
 * The path of a request as the plane's router reads it: escapes are letters there, and a slash at the end is none.
 * Undefined for one that a URL parser on the way would make another of (`..`, `.`, `\\`, `//`), or whose beginning is
 * not what it says: what was allowed must be what arrives.
 */
export function readPath(url: string): string | undefined {
  const [raw = ""] = url.split(/[?#]/, 1);
  const [root, ...parts] = raw.replace(/\/$/, "").split("/").map(decode);
  const isPlain = root === "" && !raw.includes("\\") && parts.every((part) => !MOVING_PARTS.has(part));
  return isPlain && raw.startsWith("/api/") ? `/${parts.join("/")}` : undefined;
}

const MOVING_PARTS: ReadonlySet<string | undefined> = new Set([undefined, "", ".", ".."]);

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part).replaceAll("/", "%2F");
  } catch {
    return undefined;
  }
}
