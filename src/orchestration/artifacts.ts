import { v7 as uuidv7 } from "uuid";
import type { Artifact, CreateArtifact, UpdateArtifact } from "../prefect-api/artifacts.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import { UserError } from "../shared/errors.ts";
import type { Store } from "../storage/store.ts";
import { announceChanges } from "./events/announce-changes.ts";
import { tellArtifacts } from "./events/lifecycle-event.ts";

export async function createArtifact(
  store: Pick<Store, "transaction">,
  body: CreateArtifact,
  now: Date,
): Promise<Artifact> {
  const timestamp = timestampFromDate(now);
  const artifact = {
    // Version 7: of two of one instant the later one is the latest.
    id: uuidv7(),
    created: timestamp,
    updated: timestamp,
    key: body.key ?? null,
    type: body.type ?? null,
    description: body.description ?? null,
    data: body.data ?? null,
    metadata_: body.metadata_ ?? null,
    flow_run_id: body.flow_run_id ?? null,
    task_run_id: body.task_run_id ?? null,
  };
  const { key } = artifact;
  await store.transaction(async (tx) => {
    const before = key === null ? undefined : await tx.artifacts.findLatest(key);
    await tx.artifacts.insert(artifact);
    const verb = before === undefined ? "created" : "updated";
    await announceChanges(tx, [key === null ? undefined : tellArtifacts(verb, key, artifact)], now);
  });
  return artifact;
}

/** Throws UserError NOT_FOUND. */
export async function updateArtifact(
  store: Pick<Store, "transaction">,
  id: string,
  body: UpdateArtifact,
  now: Date,
): Promise<void> {
  const { data, description, metadata_ } = body;
  const changes = {
    updated: timestampFromDate(now),
    ...(data !== undefined && { data }),
    ...(description !== undefined && { description }),
    ...(metadata_ !== undefined && { metadata_ }),
  };
  if (!(await store.transaction((tx) => tx.artifacts.update(id, changes)))) {
    throw new UserError("NOT_FOUND", "Artifact not found.");
  }
}

/** Throws UserError NOT_FOUND. */
export function deleteArtifact(store: Pick<Store, "transaction">, id: string, now: Date): Promise<void> {
  return store.transaction(async (tx) => {
    const artifact = await tx.artifacts.find(id);
    if (artifact === undefined) {
      throw new UserError("NOT_FOUND", "Artifact not found.");
    }
    const { key } = artifact;
    const wasLatest = key !== null && (await tx.artifacts.findLatest(key))?.id === id;
    await tx.artifacts.remove(id);
    if (wasLatest) {
      const latest = await tx.artifacts.findLatest(key);
      const verb = latest === undefined ? "deleted" : "updated";
      await announceChanges(tx, [tellArtifacts(verb, key, latest ?? artifact)], now);
    }
  });
}
