import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { TestProcess } from "../support/child-process.ts";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";

const flowyard = join(import.meta.dirname, "../../bin/flowyard");

describe("a worker whose sources Node has not compiled before", () => {
  let plane: PlaneProcess;
  let folder = "";
  before(async () => {
    plane = await startPlane();
    folder = await mkdtemp(join(tmpdir(), "flowyard-anew-"));
  });
  after(async () => {
    await plane[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** Whether the process with this id is the second one. */
  async function startedAnew(compileCache: string): Promise<boolean> {
    const worker = new TestProcess(flowyard, ["worker", "start", "--pool", "anew", "--type", "process"], {
      cwd: folder,
      env: {
        PATH: "/usr/bin:/bin",
        HOME: folder,
        FLOWYARD_HOME: folder,
        PREFECT_API_URL: plane.apiUrl,
        NODE_COMPILE_CACHE: compileCache,
        FLOWYARD_WORKER_RELAY: "off",
      },
    });
    try {
      await worker.waitForOutput(/Worker started/, 60_000);
      return (await readFile(`/proc/${worker.child.pid}/environ`, "utf8")).includes("FLOWYARD_WORKER_STARTED_ANEW=1");
    } finally {
      await worker.stop();
    }
  }

  test("begins again once as the same process, and the next one need not", async () => {
    const cache = join(folder, "cache");

    assert.equal(await startedAnew(cache), true);
    assert.equal(await startedAnew(cache), false);
  });

  test("begins again once only, where nothing can be kept", async () => {
    assert.equal(await startedAnew("/dev/null/none"), true);
  });
});
