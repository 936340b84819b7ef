import { fill } from "../fill.ts";
import { asObject, isObject, type JsonObject } from "../json.ts";
import {
  type Call,
  type Implementations,
  numberOf,
  optional,
  Refused,
  refuseInvalid,
  refuseMissing,
  textOf,
} from "../operation.ts";
import { findSha } from "./commits.ts";

const MAX_ANNOTATIONS = 50;
const MAX_OUTPUT = 65_535;
const MAX_STATUS_DESCRIPTION = 140;
const CHECK_FIELDS = ["name", "details_url", "external_id", "status", "started_at", "conclusion", "completed_at"];

export const reportOperations: Implementations = {
  "checks/create": (call) => {
    const id = call.world.nextId();
    const sha = findSha(call, textOf(call.body, "head_sha"));
    const run = {
      id,
      head_sha: sha,
      status: "queued",
      conclusion: null,
      started_at: call.world.now(),
      completed_at: null,
    };
    call.world.checkRuns.push(Object.assign(run, applyCheck(call, id)));
    return { status: 201, body: showCheck(call, id) };
  },
  "checks/update": (call) => {
    const run = findCheck(call);
    Object.assign(run, applyCheck(call, numberOf(run, "id")));
    return { status: 200, body: showCheck(call, numberOf(run, "id")) };
  },
  "checks/get": (call) => ({ status: 200, body: showCheck(call, numberOf(findCheck(call), "id")) }),
  "checks/list-annotations": (call) => ({
    list: (call.world.annotations.get(numberOf(findCheck(call), "id")) ?? []).map((it) => fill("check-annotation", it)),
  }),
  "checks/list-for-ref": (call) => {
    const sha = findSha(call, textOf(call.params, "ref"));
    const name = call.query.get("check_name");
    const found = call.world.checkRuns.filter(
      (run) => run["head_sha"] === sha && (name ?? run["name"]) === run["name"],
    );
    return { list: found.map((run) => showCheck(call, numberOf(run, "id"))), wrap: "check_runs" };
  },
  "repos/create-commit-status": (call) => {
    const description = call.body["description"];
    if (typeof description === "string" && description.length > MAX_STATUS_DESCRIPTION) {
      refuseInvalid("Status", "description", "custom", "description is too long (maximum is 140 characters)");
    }
    const status: JsonObject = {
      id: call.world.nextId(),
      sha: findSha(call, textOf(call.params, "sha")),
      context: "default",
      description: null,
      target_url: null,
      creator: call.world.findUser(call.login),
      created_at: call.world.now(),
      updated_at: call.world.now(),
      ...optional(call.body, "state", "context", "description", "target_url"),
    };
    call.world.statuses.unshift(status);
    return { status: 201, body: fill("status", status) };
  },
  "repos/list-commit-statuses-for-ref": (call) => ({
    list: listStatuses(call).map((status) => fill("status", status)),
  }),
  "repos/get-combined-status-for-ref": (call) => {
    const sha = findSha(call, textOf(call.params, "ref"));
    const latest = [
      ...new Map(
        listStatuses(call)
          .reverse()
          .map((status) => [status["context"], status]),
      ).values(),
    ];
    const states = latest.map((status) => status["state"]);
    const failed = states.some((state) => state === "failure" || state === "error");
    const state = failed ? "failure" : states.includes("pending") || states.length === 0 ? "pending" : "success";
    const statuses = latest.map((status) => fill("simple-commit-status", status));
    const repository = fill("minimal-repository", call.world.repository);
    return {
      status: 200,
      body: fill("combined-commit-status", { state, sha, statuses, total_count: states.length, repository }),
    };
  },
};

function listStatuses(call: Call): JsonObject[] {
  const sha = findSha(call, textOf(call.params, "ref"));
  return call.world.statuses.filter((status) => status["sha"] === sha);
}

function findCheck({ world, params }: Call): JsonObject {
  const id = numberOf(params, "check_run_id");
  return world.checkRuns.find((run) => run["id"] === id) ?? refuseMissing();
}

/** The fields that a request sets; annotations of later requests are added to the earlier ones. */
function applyCheck({ world, body }: Call, id: number): JsonObject {
  const output = asObject(body["output"]);
  if (output !== undefined) {
    checkOutput(output);
    const annotations = Array.isArray(output["annotations"]) ? output["annotations"].filter(isObject) : [];
    world.annotations.set(id, [...(world.annotations.get(id) ?? []), ...annotations]);
  }
  const finished = body["conclusion"] === undefined ? {} : { status: "completed", completed_at: world.now() };
  const shown = output === undefined ? {} : { output: optional(output, "title", "summary", "text") };
  return { ...finished, ...optional(body, ...CHECK_FIELDS), ...shown };
}

function checkOutput(output: JsonObject): void {
  if (Array.isArray(output["annotations"]) && output["annotations"].length > MAX_ANNOTATIONS) {
    throw new Refused(422, "Invalid request.\n\nNo more than 50 annotations are allowed per request");
  }
  for (const name of ["summary", "text"]) {
    const text = output[name];
    if (typeof text === "string" && text.length > MAX_OUTPUT) {
      throw new Refused(422, `Invalid request.\n\nOnly 65535 characters are allowed; ${text.length} were supplied.`);
    }
  }
}

function showCheck({ world }: Call, id: number): JsonObject {
  const run = world.checkRuns.find((it) => it["id"] === id) ?? refuseMissing();
  return fill("check-run", {
    ...run,
    html_url: `https://github.com/${world.owner}/${world.repo}/runs/${id}`,
    output: {
      title: null,
      summary: null,
      text: null,
      ...asObject(run["output"]),
      annotations_count: world.annotations.get(id)?.length ?? 0,
    },
    check_suite: { id: 5 },
    pull_requests: [],
  });
}
