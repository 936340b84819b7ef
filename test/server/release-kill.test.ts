import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { startServer } from "../../src/server/start-server.ts";
import { startPlane } from "../support/plane-process.ts";
import { candidate, SCOPE, wanted } from "./release-support.ts";
import { TEMPLATE } from "./resources.ts";

const NAMES = Array.from({ length: 15 }, (_, index) => `d${index}`);

function connect(apiUrl: string): PrefectClient {
  return createPrefectClient({ apiUrl, retry: { retries: 0 } });
}

/** Releases version after version; answers the numbers that were acknowledged until the plane died. */
async function releaseUntilDead(client: PrefectClient, onAcknowledged: (count: number) => void): Promise<number[]> {
  const acknowledged: number[] = [];
  for (let version = 1; version < 500; version += 1) {
    const release = candidate(NAMES.map((name) => wanted(name, { version: String(version) })));
    const result = await client.releases.apply({ candidate: release }).catch(() => undefined);
    if (result?.outcome !== "applied") {
      return acknowledged;
    }
    acknowledged.push(result.release.number);
    onAcknowledged(acknowledged.length);
  }
  return acknowledged;
}

test("a plane that is killed while it applies has each release whole or not at all, and the re-run finishes", async () => {
  await using plane = await startPlane();
  const client = connect(plane.apiUrl);
  await client.workPools.create({ name: "pool", type: "docker", base_job_template: TEMPLATE });

  const acknowledged = await releaseUntilDead(client, (count) => {
    if (count === 4) {
      // Somewhere in the next ones, which take some milliseconds each.
      setTimeout(() => plane.process.child.kill("SIGKILL"), 35 * Math.random());
    }
  });

  const file = join(plane.folder, "plane.sqlite");
  const again = await startServer({
    database: file,
    host: "127.0.0.1",
    port: 0,
    authString: null,
    logLevel: "error",
    logFormat: "json",
    loops: null,
  });
  const survivor = connect(again.apiUrl);
  const [live] = await survivor.releases.list({ limit: 1 });
  const deployments = await survivor.deployments.list();
  const version = String(live?.number);
  assert.ok(live?.live && live.number >= acknowledged.length, `${acknowledged.length} answered`);
  assert.ok(live.number <= acknowledged.length + 1);
  assert.deepEqual(new Set(deployments.map((each) => each.version)), new Set([version]));
  assert.deepEqual((await survivor.releases.findDrift(SCOPE)).changes, []);
  const rerun = await survivor.releases.apply({ candidate: candidate(NAMES.map((name) => wanted(name, { version }))) });
  assert.deepEqual([rerun.outcome, rerun.outcome === "applied" && rerun.changed], ["applied", false]);
  await again.stop();
});
