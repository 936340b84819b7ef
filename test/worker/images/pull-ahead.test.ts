import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { pack } from "tar-fs";
import { loadMachine } from "../../../scripts/setup/machine.ts";
import { type Engine, findEngine } from "../../../src/docker/engine.ts";
import { readEngineSettings } from "../../../src/docker/engine-address.ts";
import { pushImage } from "../../../src/docker/push.ts";
import { UserError } from "../../../src/shared/errors.ts";
import { silentLogger } from "../../../src/shared/logger.ts";
import { createPullAhead } from "../../../worker/images/pull-ahead.ts";
import { createDockerInfrastructure } from "../../../worker/infrastructure/docker.ts";
import { waitUntil } from "../../support/wait-until.ts";

const { docker, registry } = await loadMachine();
const missing = [docker, registry].find((part) => !part.available);
const skip = missing?.available === false ? missing.reason : false;
const never = new AbortController().signal;

test("each image is fetched once, one after the other, and one that fails keeps no other back", async () => {
  const begun: string[] = [];
  let underWay = 0;
  const infrastructure = {
    pullAhead: async (image: string) => {
      underWay += 1;
      assert.equal(underWay, 1);
      begun.push(image);
      await Promise.resolve();
      underWay -= 1;
      if (image === "missing:1") {
        throw new UserError("IMAGE_NOT_FOUND", "there is no such image");
      }
      return "pulled" as const;
    },
  };
  const pullAhead = createPullAhead({ infrastructure, logger: silentLogger, signal: never });

  pullAhead(["a:1", "missing:1"]);
  pullAhead(["missing:1", "b:1", "a:1"]);

  await waitUntil(async () => begun.length === 3, { timeoutMs: 5000, what: "three pulls" });
  assert.deepEqual(begun, ["a:1", "missing:1", "b:1"]);
});

async function importFolder({ docker: api }: Pick<Engine, "docker">, folder: string, repo: string): Promise<void> {
  const context = Readable.from(pack(folder));
  await new Promise<void>((resolve, reject) => {
    api.importImage(context, { repo }, (error: unknown, progress: unknown) => {
      if (progress instanceof Readable) {
        progress.on("end", resolve).on("error", reject).resume();
      } else {
        reject(error);
      }
    });
  });
}

test("a real image comes from its registry, and is there the next time", { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-ahead-"));
  const engine = await findEngine(
    readEngineSettings({ HOME: folder, DOCKER_HOST: docker.available ? docker.host : "" }),
  );
  const image = `${registry.available ? registry.address : ""}/flowyard-ahead-${randomUUID().slice(0, 8)}:1`;
  try {
    await writeFile(join(folder, "file"), randomUUID());
    await importFolder(engine, folder, image);
    await pushImage(engine, { image });
    await engine.docker.getImage(image).remove({ force: true });
    const infrastructure = createDockerInfrastructure(engine, folder);

    assert.equal(await infrastructure.pullAhead?.(image, never), "pulled");
    assert.equal(await infrastructure.pullAhead?.(image, never), "here");
    await assert.rejects(async () => infrastructure.pullAhead?.(`${image}-unknown`, never), {
      code: "IMAGE_NOT_FOUND",
    });
  } finally {
    await engine.docker
      .getImage(image)
      .remove({ force: true })
      .catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  }
});
