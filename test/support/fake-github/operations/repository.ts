import { fill } from "../fill.ts";
import type { JsonObject } from "../json.ts";
import { type Implementations, numberOf, Refused, refuseMissing, textOf } from "../operation.ts";

const MAX_PAYLOAD_KEYS = 10;
const MAX_PAYLOAD_CHARACTERS = 65_535;

export const repositoryOperations: Implementations = {
  "repos/get": ({ world }) => ({ status: 200, body: fill("full-repository", world.repository) }),
  "repos/get-collaborator-permission-level": ({ world, params }) => {
    const login = textOf(params, "username");
    const user = world.users.get(login) ?? refuseMissing();
    const permission = world.permissions.get(login) ?? "read";
    return {
      status: 200,
      body: fill("repository-collaborator-permission", {
        permission,
        role_name: permission,
        user: { ...user, role_name: permission, permissions: listRights(permission) },
      }),
    };
  },
  "repos/check-collaborator": ({ world, params }) =>
    world.permissions.has(textOf(params, "username")) ? { status: 204 } : refuseMissing(),
  "repos/create-dispatch-event": ({ world, body }) => {
    const payload = body["client_payload"] ?? {};
    if (typeof payload === "object" && Object.keys(payload ?? {}).length > MAX_PAYLOAD_KEYS) {
      throw new Refused(422, "Invalid request.\n\nNo more than 10 properties are allowed; more were supplied.");
    }
    if (JSON.stringify(payload).length > MAX_PAYLOAD_CHARACTERS) {
      throw new Refused(422, "client_payload is too large.");
    }
    world.dispatches.push(body);
    return { status: 204 };
  },
  "repos/get-all-environments": ({ world }) => ({
    list: [...world.environments].map((name) => fill("environment", { name })),
    wrap: "environments",
  }),
  "repos/get-environment": ({ world, params }) => {
    const name = textOf(params, "environment_name");
    return world.environments.has(name) ? { status: 200, body: fill("environment", { name }) } : refuseMissing();
  },
  "actions/get-workflow-run": ({ world, params }) => ({
    status: 200,
    body: fill("workflow-run", { id: numberOf(params, "run_id"), repository: world.repository, status: "in_progress" }),
  }),
  "rate-limit/get": () => ({ status: 200, body: fill("rate-limit-overview", {}) }),
  "meta/get": () => ({ status: 200, body: fill("api-overview", { verifiable_password_authentication: false }) }),
  "users/get-by-username": ({ world, params }) => {
    const user = world.users.get(textOf(params, "username")) ?? refuseMissing();
    return { status: 200, body: fill("public-user", user) };
  },
};

function listRights(permission: "admin" | "write" | "read"): JsonObject {
  const writes = permission !== "read";
  return { pull: true, triage: writes, push: writes, maintain: permission === "admin", admin: permission === "admin" };
}
