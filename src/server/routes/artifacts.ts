import { z } from "zod";
import { createArtifact, deleteArtifact, updateArtifact } from "../../orchestration/artifacts.ts";
import { CreateArtifact, FilterArtifacts, FilterLatestArtifacts, UpdateArtifact } from "../../prefect-api/artifacts.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByKey = z.object({ key: z.string() });
const CountLatestArtifacts = FilterLatestArtifacts.omit({ sort: true, limit: true, offset: true });
const CountArtifacts = FilterArtifacts.omit({ sort: true, limit: true, offset: true });

export function registerArtifacts(api: App, { store, clock }: AppDeps): void {
  api.post("/artifacts", { schema: { body: CreateArtifact } }, async (request, reply) => {
    const artifact = await createArtifact(store, request.body, clock.now());
    return reply.code(201).send(artifact);
  });

  api.get("/artifacts/:id", { schema: { params: ById } }, async (request) => {
    const artifact = await store.artifacts.find(request.params.id);
    if (artifact === undefined) {
      throw new UserError("NOT_FOUND", "Artifact not found.");
    }
    return artifact;
  });

  api.get("/artifacts/:key/latest", { schema: { params: ByKey } }, async (request) => {
    const artifact = await store.artifacts.findLatest(request.params.key);
    if (artifact === undefined) {
      throw new UserError("NOT_FOUND", "Artifact not found.");
    }
    return artifact;
  });

  api.patch("/artifacts/:id", { schema: { params: ById, body: UpdateArtifact } }, async (request, reply) => {
    await updateArtifact(store, request.params.id, request.body, clock.now());
    return reply.code(204).send();
  });

  api.delete("/artifacts/:id", { schema: { params: ById } }, async (request, reply) => {
    await deleteArtifact(store, request.params.id, clock.now());
    return reply.code(204).send();
  });

  api.post("/artifacts/filter", { schema: { body: FilterArtifacts } }, (request) => {
    const { sort, limit, offset, ...filters } = request.body;
    return store.artifacts.list(filters, { sort, limit: checkLimit(limit), offset });
  });

  api.post("/artifacts/latest/filter", { schema: { body: FilterLatestArtifacts } }, (request) => {
    const { sort, limit, offset, ...filters } = request.body;
    return store.artifacts.listLatest(filters, { sort, limit: checkLimit(limit), offset });
  });

  api.post("/artifacts/latest/count", { schema: { body: CountLatestArtifacts } }, (request) =>
    store.artifacts.countLatest(request.body),
  );

  api.post("/artifacts/count", { schema: { body: CountArtifacts } }, (request) => store.artifacts.count(request.body));
}
