import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { silentLogger } from "../../../src/shared/logger.ts";
import { loadWorkerSettings } from "../../../worker/config.ts";
import { boundLog } from "../../../worker/relay/bound-log.ts";
import { openRelay } from "../../../worker/relay/open-relay.ts";
import { startRelay } from "../../../worker/relay/start-relay.ts";
import { LIMITS } from "./limits.ts";

describe("a relay that the operator names", () => {
  let home: string;
  const told: { fields: Record<string, unknown>; message: string }[] = [];
  const logger = {
    ...silentLogger,
    info: (fields: Record<string, unknown>, message: string) => told.push({ fields, message }),
    warn: (fields: Record<string, unknown>, message: string) => told.push({ fields, message }),
  };

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "flowyard-relay-"));
    told.length = 0;
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  const open = (url: string, flowyardHome = home) => {
    const environment = { PREFECT_API_URL: "http://127.0.0.1:9/api", FLOWYARD_WORKER_RELAY: url };
    const settings = loadWorkerSettings({ pool: "p" }, { ...environment, FLOWYARD_HOME: flowyardHome });
    return openRelay(settings, undefined, logger);
  };

  const start = (folder: string) => {
    const api = { apiUrl: "http://127.0.0.1:9/api", authString: undefined, apiKey: undefined };
    return startRelay({ api, folder, hosts: ["127.0.0.1"], port: 0, limits: LIMITS }, silentLogger);
  };

  test("is told of when nothing listens there, and the worker goes on", async () => {
    const relay = await open("http://127.0.0.1:9/api");

    assert.ok(relay);
    assert.deepEqual(
      told.map(({ fields }) => fields),
      [{ relay: "http://127.0.0.1:9/api", code: "RELAY_UNAVAILABLE" }],
    );
  });

  test("is taken when it shares the worker's secret, also while its plane is away", async () => {
    const relay = await start(join(home, "relay"));
    try {
      assert.ok(await open(`http://127.0.0.1:${relay.port}/api`));
      assert.equal(told[0]?.message, "The relay can be reached");
    } finally {
      await relay.stop();
    }
  });

  test("is refused when it has another secret, as every run would be", async () => {
    const relay = await start(join(home, "elsewhere"));
    try {
      const opening = open(`http://127.0.0.1:${relay.port}/api`);
      await assert.rejects(opening, { code: "RELAY_NOT_OURS" });
    } finally {
      await relay.stop();
    }
  });

  test("is refused when it is something else", async () => {
    const server = createServer((_request, response) => response.writeHead(404).end()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    try {
      await assert.rejects(open(`http://127.0.0.1:${port}/api`), { code: "RELAY_NOT_OURS" });
    } finally {
      server.close();
    }
  });

  test("the log of one that a worker started begins anew when it is large, and the one before is kept", async () => {
    const path = join(home, "relay.log");
    await writeFile(path, "x".repeat(101));
    boundLog(home, 100);
    assert.equal((await stat(path)).size, 0);
    assert.equal((await readFile(`${path}.1`, "utf8")).length, 101);

    await writeFile(path, "short");
    boundLog(home, 100);
    assert.equal(await readFile(path, "utf8"), "short");
    boundLog(join(home, "nowhere"), 100);
  });
});
