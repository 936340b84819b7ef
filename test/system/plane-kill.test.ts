import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { findFreePort } from "../../scripts/setup/free-port.ts";
import { runToEnd } from "../support/child-process.ts";
import { flowyard, plainEnvironment, startPlane } from "../support/plane-process.ts";
import { describeKills } from "./plane-kill/describe-kills.ts";

/** Each is killed somewhere else in its work; test/long has fifty. */
const SEEDS = [1, 2, 3, 4, 5];

describeKills("SQLite", SEEDS);
describeKills("PostgreSQL", SEEDS);

test("a plane keeps its file from a second plane while it lives, and gives it up when it is killed", async () => {
  await using plane = await startPlane();
  const file = join(plane.folder, "plane.sqlite");
  const second = ["server", "start", "--port", String(await findFreePort()), "--database", file];

  const refused = await runToEnd(flowyard, second, {
    cwd: plane.folder,
    env: plainEnvironment(plane.folder),
    timeoutMs: 20_000,
  });
  await plane.start();

  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /another control plane is using the database/);
});
