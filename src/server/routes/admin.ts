import type { FastifyReply } from "fastify";
import { z } from "zod";
import { API_VERSION, JsonObject, PREFECT_VERSION, Uuid } from "../../prefect-api/primitives.ts";
import type { App, AppDeps } from "../app-deps.ts";
import { findProblem } from "./flowyard/status.ts";

const DefaultStorage = z.strictObject({ default_result_storage_block_id: Uuid });

/** Fastify would send a bare string as text. */
function sendJsonText(reply: FastifyReply, text: string): FastifyReply {
  return reply.type("application/json").send(JSON.stringify(text));
}

/** Health, versions, and the settings that clients keep on the server. */
export function registerAdmin(api: App, deps: AppDeps): void {
  const { store } = deps;

  api.get("/health", (_request, reply) => reply.send(true));

  // Clients ask it whether anybody is there.
  api.get("/hello", (_request, reply) => sendJsonText(reply, "👋"));

  api.get("/ready", async (_request, reply) => {
    const problem = await findProblem(deps);
    return problem === undefined ? reply.send({ message: "OK" }) : reply.code(503).send({ message: problem });
  });

  api.get("/version", (_request, reply) => sendJsonText(reply, API_VERSION));
  // Engines and sockets refuse a server of another major version than their own.
  api.get("/admin/version", (_request, reply) => sendJsonText(reply, PREFECT_VERSION));

  // Prefect's own words for "there is no such protection": clients then stop asking.
  api.get("/csrf-token", (_request, reply) => reply.code(422).send({ detail: "CSRF protection is disabled." }));

  api.get("/admin/storage", async () => ({
    default_result_storage_block_id: await store.configuration.findDefaultResultStorage(),
  }));

  api.put("/admin/storage", { schema: { body: DefaultStorage } }, async (request) => {
    const { default_result_storage_block_id: id } = request.body;
    await store.transaction((tx) => tx.configuration.setDefaultResultStorage(id));
    return { default_result_storage_block_id: id };
  });

  api.delete("/admin/storage", { schema: { body: JsonObject } }, async (_request, reply) => {
    await store.transaction((tx) => tx.configuration.setDefaultResultStorage(null));
    return reply.code(204).send();
  });
}
