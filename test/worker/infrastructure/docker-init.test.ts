import assert from "node:assert/strict";
import { test } from "node:test";
import { createInitCheck } from "../../../worker/infrastructure/docker-init.ts";
import { startFakeDocker } from "../../support/fake-docker.ts";

const DIGEST = `etl@sha256:${"0".repeat(64)}`;

/** An engine with images of this entrypoint; undefined: it has none. */
function startEngine(images: { entrypoint: string[] | undefined }) {
  return startFakeDocker(({ path }) =>
    path.startsWith("/images/") && images.entrypoint !== undefined
      ? { status: 200, json: { Config: { Entrypoint: images.entrypoint } } }
      : undefined,
  );
}

test("runs of one image that start together ask once whether it has its own init", async () => {
  await using fake = await startEngine({ entrypoint: ["/usr/bin/tini", "-g", "--"] });
  const hasOwnInit = createInitCheck(await fake.connect());

  for (const image of ["etl:1", DIGEST]) {
    assert.deepEqual(await Promise.all([hasOwnInit(image), hasOwnInit(image)]), [true, true]);
    assert.equal(await hasOwnInit(image), true);
  }

  assert.equal(fake.requests.filter(({ path }) => path.startsWith("/images/")).length, 2);
});

test("an image that is not here yet is asked for again", async () => {
  const images: { entrypoint: string[] | undefined } = { entrypoint: undefined };
  await using fake = await startEngine(images);
  const hasOwnInit = createInitCheck(await fake.connect());
  assert.equal(await hasOwnInit(DIGEST), false);

  images.entrypoint = ["/sbin/init"];

  assert.equal(await hasOwnInit(DIGEST), true);
});

test("an engine that was away is asked again", async () => {
  let isAway = true;
  await using fake = await startFakeDocker(({ path }) =>
    path.startsWith("/images/")
      ? isAway
        ? { respond: (response) => response.destroy() }
        : { status: 200, json: { Config: { Entrypoint: ["sh"] } } }
      : undefined,
  );
  const hasOwnInit = createInitCheck(await fake.connect());
  await assert.rejects(hasOwnInit(DIGEST), { code: "DOCKER_UNREACHABLE" });

  isAway = false;

  assert.equal(await hasOwnInit(DIGEST), false);
});
