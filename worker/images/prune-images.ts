import { statfs } from "node:fs/promises";
import { z } from "zod";
import type { PrefectClient } from "../../src/client/prefect-client.ts";
import type { Engine } from "../../src/docker/engine.ts";
import { findDataFolder } from "../../src/docker/engine.ts";
import { removeImage } from "../../src/docker/images.ts";
import type { WorkPool } from "../../src/prefect-api/work-pools.ts";
import type { Logger } from "../../src/shared/logger.ts";
import type { PulledImage, WorkerHome } from "../worker-home.ts";

/** Below the mark by so much, so that the next pull does not cross it again. */
const MARGIN_PERCENT = 5;

interface PruneDependencies {
  client: {
    deployments: Pick<PrefectClient["deployments"], "list">;
    workPools: { list(): Promise<Pick<WorkPool, "base_job_template">[]> };
  };
  engine: Engine;
  home: Pick<WorkerHome, "listPulled" | "dropPulled">;
  highPercent: number;
  logger: Logger;
  /** Of the file system that the engine keeps its images on; undefined where that is not this machine's. */
  readUsedPercent?: () => Promise<number | undefined>;
}

/**
 * When the disk is fuller than the mark: removes images that workers of this machine pulled and that neither a
 * deployment nor a pool's template names, the oldest first, until it is not. Images of others, and those of a container, are never touched.
 * Throws TransientError when the plane or the engine is away, LIST_TOO_LONG when nobody can say what is named.
 */
export async function pruneImages(own: PruneDependencies): Promise<void> {
  const { engine, home, logger, highPercent } = own;
  const readUsedPercent = own.readUsedPercent ?? (() => readDiskUse(engine));
  const before = await readUsedPercent();
  if (before === undefined || before < highPercent) {
    return;
  }
  const candidates = selectUnnamed(await home.listPulled(), await listNamed(own.client));
  if (candidates.length === 0) {
    logger.warn(
      { used_percent: Math.round(before) },
      "The disk of the Docker engine is nearly full, and no image is left to remove",
    );
    return;
  }
  for (const image of candidates) {
    const outcome = await removeImage(engine, image);
    if (outcome !== "in-use") {
      await home.dropPulled(image);
      logger.info({ image, outcome }, "Removed an image that no deployment and no work pool names");
    }
    const used = await readUsedPercent();
    if (used === undefined || used < highPercent - MARGIN_PERCENT) {
      return;
    }
  }
}

/** Every image that a run may want next. */
async function listNamed(client: PruneDependencies["client"]): Promise<ReadonlySet<unknown>> {
  const [deployments, workPools] = await Promise.all([client.deployments.list(), client.workPools.list()]);
  return new Set([
    ...deployments.map(({ job_variables }) => job_variables?.["image"]),
    ...workPools.flatMap(({ base_job_template }) => listTemplateImages(base_job_template)),
  ]);
}

const TemplateImages = z.object({
  job_configuration: z.object({ image: z.string() }).partial().optional(),
  variables: z
    .object({ properties: z.object({ image: z.object({ default: z.string() }) }) })
    .optional()
    .catch(undefined),
});

/** The default of the variable, and what an operator wrote in its place. */
function listTemplateImages(template: unknown): string[] {
  const parsed = TemplateImages.safeParse(template).data;
  return [parsed?.job_configuration?.image, parsed?.variables?.properties.image.default].filter(
    (image) => image !== undefined,
  );
}

function selectUnnamed(pulled: readonly PulledImage[], named: ReadonlySet<unknown>): string[] {
  return pulled
    .filter(({ image }) => !named.has(image))
    .toSorted((a, b) => a.pulled_at.localeCompare(b.pulled_at))
    .map(({ image }) => image);
}

async function readDiskUse(engine: Engine): Promise<number | undefined> {
  const folder = engine.url.startsWith("unix://") ? await findDataFolder(engine) : undefined;
  const disk = folder === undefined ? undefined : await statfs(folder).catch(() => undefined);
  // As `df` counts: what only root may still write is used up for everybody else.
  return disk === undefined ? undefined : (100 * (disk.blocks - disk.bfree)) / (disk.blocks - disk.bfree + disk.bavail);
}
