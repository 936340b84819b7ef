import { fill } from "../fill.ts";
import type { JsonObject } from "../json.ts";
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

const MAX_DESCRIPTION = 140;

export const deploymentOperations: Implementations = {
  "repos/list-deployments": ({ world, query }) => ({
    list: world.deployments
      .filter((it) =>
        ["sha", "ref", "task", "environment"].every((name) => !query.has(name) || query.get(name) === it[name]),
      )
      .map((it) => fill("deployment", it)),
  }),
  "repos/create-deployment": (call) => {
    const { body, world } = call;
    checkDefaults(body, world.statuses.length + world.checkRuns.length);
    const environment = textOf(body, "environment", "production");
    const deployment: JsonObject = {
      id: world.nextId(),
      sha: findSha(call, textOf(body, "ref")),
      task: "deploy",
      payload: {},
      environment,
      original_environment: environment,
      description: null,
      creator: world.findUser(call.login),
      created_at: world.now(),
      updated_at: world.now(),
      production_environment: environment === "production",
      transient_environment: false,
      ...optional(body, "ref", "task", "payload", "description", "production_environment", "transient_environment"),
    };
    world.deployments.unshift(deployment);
    world.environments.add(environment);
    return { status: 201, body: fill("deployment", deployment) };
  },
  "repos/get-deployment": (call) => ({ status: 200, body: fill("deployment", findDeployment(call)) }),
  "repos/delete-deployment": (call) => {
    const deployment = findDeployment(call);
    if (call.world.deployments.length > 1 && findState(call, deployment) !== "inactive") {
      refuseInvalid("Deployment", "state", "custom", "We cannot delete an active deployment unless it is the only one");
    }
    call.world.deployments.splice(call.world.deployments.indexOf(deployment), 1);
    return { status: 204 };
  },
  "repos/list-deployment-statuses": (call) => ({
    list: listStatuses(call, findDeployment(call)).map((status) => fill("deployment-status", status)),
  }),
  "repos/get-deployment-status": (call) => {
    const id = numberOf(call.params, "status_id");
    const found = listStatuses(call, findDeployment(call)).find((status) => status["id"] === id);
    return { status: 200, body: fill("deployment-status", found ?? refuseMissing()) };
  },
  "repos/create-deployment-status": (call) => {
    const { body, world } = call;
    const deployment = findDeployment(call);
    if (textOf(body, "description", "").length > MAX_DESCRIPTION) {
      refuseInvalid("DeploymentStatus", "description", "custom", "description is too long (maximum is 140 characters)");
    }
    if (body["state"] === "success" && body["auto_inactive"] !== false) {
      makeInactive(call, deployment);
    }
    const status = addStatus(call, deployment, {
      description: "",
      target_url: "",
      environment: textOf(deployment, "environment"),
      ...optional(body, "state", "description", "environment", "environment_url", "log_url", "target_url"),
    });
    deployment["updated_at"] = world.now();
    return { status: 201, body: fill("deployment-status", status) };
  },
};

/** Both defaults surprise: GitHub would merge the default branch into the ref, and wait for all checks of the commit. */
function checkDefaults(body: JsonObject, checks: number): void {
  if (body["auto_merge"] !== false) {
    throw new Refused(409, "Conflict merging main into the ref.");
  }
  if (body["required_contexts"] === undefined && checks > 0) {
    throw new Refused(409, "Conflict: Commit status checks failed for the ref.");
  }
  if (textOf(body, "description", "").length > MAX_DESCRIPTION) {
    refuseInvalid("Deployment", "description", "custom", "description is too long (maximum is 140 characters)");
  }
}

function findDeployment({ world, params }: Call): JsonObject {
  const id = numberOf(params, "deployment_id");
  return world.deployments.find((it) => it["id"] === id) ?? refuseMissing();
}

function listStatuses({ world }: Call, deployment: JsonObject): JsonObject[] {
  const own = world.deploymentStatuses.filter((it) => it.deploymentId === deployment["id"]);
  return own.map((it) => it.status);
}

function findState(call: Call, deployment: JsonObject) {
  return listStatuses(call, deployment)[0]?.["state"];
}

function addStatus(call: Call, deployment: JsonObject, given: JsonObject): JsonObject {
  const { world } = call;
  const status: JsonObject = {
    id: world.nextId(),
    creator: world.findUser(call.login),
    created_at: world.now(),
    updated_at: world.now(),
    ...given,
  };
  world.deploymentStatuses.unshift({ deploymentId: numberOf(deployment, "id"), status });
  return status;
}

/** A success ends what was successful in the same environment before, unless it was transient or production. */
function makeInactive(call: Call, deployment: JsonObject): void {
  for (const other of call.world.deployments) {
    const same = other !== deployment && other["environment"] === deployment["environment"];
    const skipped = other["transient_environment"] === true || other["production_environment"] === true;
    if (same && !skipped && findState(call, other) === "success") {
      addStatus(call, other, { state: "inactive", description: "", target_url: "" });
    }
  }
}
