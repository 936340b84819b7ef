import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { ServerSettings } from "../../src/server/config.ts";
import { startServer } from "../../src/server/start-server.ts";
import { hasCode } from "../../src/shared/errors.ts";
import { startPlane } from "../support/plane-process.ts";

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowyard-server-"));
});

after(() => rm(folder, { recursive: true, force: true }));

function buildSettings(file: string, changes: Partial<ServerSettings> = {}): ServerSettings {
  return {
    host: "127.0.0.1",
    port: 0,
    database: join(folder, file),
    authString: null,
    logLevel: "error",
    logFormat: "json",
    loops: null,
    ...changes,
  };
}

async function createFlow(apiUrl: string, name: string): Promise<boolean> {
  const answer = await fetch(`${apiUrl}/flows/`, { method: "POST", body: JSON.stringify({ name }) });
  return answer.status === 201;
}

async function countFlows(apiUrl: string): Promise<unknown> {
  return (await fetch(`${apiUrl}/flows/count`, { method: "POST" })).json();
}

test("what was answered is there after a stop and a new start", async () => {
  const first = await startServer(buildSettings("kept.db"));
  assert.equal(await createFlow(first.apiUrl, "kept"), true);
  await first.stop();

  const second = await startServer(buildSettings("kept.db"));

  assert.equal(await countFlows(second.apiUrl), 1);
  await second.stop();
  await second.stop();
});

test("a second plane on the same file is refused and hurts nobody", async () => {
  const first = await startServer(buildSettings("shared.db"));

  await assert.rejects(startServer(buildSettings("shared.db")), (error) => hasCode(error, "DATABASE_IN_USE"));

  assert.equal(await createFlow(first.apiUrl, "still here"), true);
  await first.stop();
});

test("a port that is taken is refused in a sentence, and the file is free again", async () => {
  const first = await startServer(buildSettings("one.db"));
  const port = Number(new URL(first.apiUrl).port);

  const refused = startServer(buildSettings("two.db", { port }));

  await assert.rejects(refused, (error) => hasCode(error, "ADDRESS_IN_USE"));
  await first.stop();
  await (await startServer(buildSettings("two.db"))).stop();
});

test("an address that is none of this machine's is refused in a sentence", async () => {
  // 192.0.2.0/24 is kept for documentation: nobody has it.
  await assert.rejects(startServer(buildSettings("far.db", { host: "192.0.2.1" })), (error) =>
    hasCode(error, "ADDRESS_UNUSABLE"),
  );
  await (await startServer(buildSettings("far.db"))).stop();
});

test("a plane that is killed keeps all that it had answered, and its file is free at once", async () => {
  await using plane = await startPlane();
  const acknowledged: boolean[] = [];
  const clients = Array.from({ length: 8 }, async (_, client) => {
    for (let index = 0; index < 200; index += 1) {
      // The plane dies in the middle: from then on nothing is acknowledged.
      acknowledged.push(await createFlow(plane.apiUrl, `${client}-${index}`).catch(() => false));
      if (acknowledged.length === 300) {
        plane.process.child.kill("SIGKILL");
      }
    }
  });
  await Promise.all(clients);
  const count = acknowledged.filter(Boolean).length;
  assert.ok(count > 0 && count < 1600);

  const again = await startServer({ ...buildSettings(""), database: join(plane.folder, "plane.sqlite") });

  const stored = await countFlows(again.apiUrl);
  // What was on its way when it died may have been written without an answer.
  assert.ok(
    typeof stored === "number" && stored >= count && stored <= count + 8,
    `${count} answered, ${stored} stored`,
  );
  await again.stop();
});

test("a plane that is asked to stop does so soon, busy or not", async () => {
  await using plane = await startPlane();
  const busy = Array.from({ length: 4 }, async (_, client) => {
    for (let index = 0; await createFlow(plane.apiUrl, `${client}-${index}`).catch(() => false); index += 1);
  });
  const exited = new Promise((resolve) => plane.process.child.once("exit", resolve));

  const asked = performance.now();
  plane.process.child.kill("SIGTERM");
  await exited;

  const tookMs = performance.now() - asked;
  await Promise.all(busy);
  // 0.7 s are given to requests under way; the rest is what a loaded machine may need.
  assert.ok(tookMs < 3000, `${tookMs} ms`);
});
