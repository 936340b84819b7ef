import assert from "node:assert/strict";
import { test } from "node:test";
import { createPrefectClient } from "../../src/client/prefect-client.ts";
import { UserError } from "../../src/shared/errors.ts";
import { prepareWorkPool } from "../../worker/work-pool.ts";
import { startPlane } from "../support/plane-process.ts";

const asked = { type: undefined, createPoolIfNotFound: true, baseJobTemplate: undefined };

test("the worker finds its pool or makes it, and refuses one of another type", async (t) => {
  await using plane = await startPlane();
  const client = createPrefectClient({ apiUrl: plane.apiUrl });

  await t.test("a pool that is absent is created with the template of the type", async () => {
    const { workPool, type, created } = await prepareWorkPool(client, { ...asked, pool: "made", type: "docker" });

    assert.equal(type, "docker");
    assert.equal(created, true);
    const { base_job_template } = await client.workPools.get(workPool.name);
    assert.ok("container_create_kwargs" in Object(base_job_template["job_configuration"]));
  });

  await t.test("without a type the pool's own is taken, and process for a new one", async () => {
    assert.equal((await prepareWorkPool(client, { ...asked, pool: "made" })).type, "docker");
    assert.equal((await prepareWorkPool(client, { ...asked, pool: "new" })).type, "process");
  });

  await t.test("an empty template is filled", async () => {
    await client.workPools.create({ name: "bare", type: "docker" });

    await prepareWorkPool(client, { ...asked, pool: "bare" });

    assert.ok("variables" in (await client.workPools.get("bare")).base_job_template);
  });

  await t.test("several workers that start at once agree on one pool", async () => {
    const prepared = await Promise.all(
      Array.from({ length: 5 }, () => prepareWorkPool(client, { ...asked, pool: "raced", type: "docker" })),
    );

    assert.equal(new Set(prepared.map(({ workPool }) => workPool.id)).size, 1);
  });

  const refusals: [string, Parameters<typeof prepareWorkPool>[1], string, RegExp][] = [
    [
      "a pool of another type",
      { ...asked, pool: "made", type: "process" },
      "WORK_POOL_TYPE_MISMATCH",
      /is of type "docker"/,
    ],
    [
      "a pool of a type that it does not run",
      { ...asked, pool: "k8s" },
      "WORK_POOL_TYPE_MISMATCH",
      /"kubernetes", which/,
    ],
    ["a type that there is none of", { ...asked, pool: "x", type: "lambda" }, "USAGE", /no worker for type "lambda"/],
    [
      "an absent pool that it must not create",
      { ...asked, pool: "x", createPoolIfNotFound: false },
      "NOT_FOUND",
      /no work pool "x"/,
    ],
  ];
  await client.workPools.create({ name: "k8s", type: "kubernetes" });
  for (const [title, settings, code, message] of refusals) {
    await t.test(`${title} is refused with what to do`, async () => {
      await assert.rejects(prepareWorkPool(client, settings), (error: unknown) => {
        assert.ok(error instanceof UserError);
        assert.equal(error.code, code);
        assert.match(error.message, message);
        assert.notEqual(error.hint, undefined);
        return true;
      });
    });
  }
});
