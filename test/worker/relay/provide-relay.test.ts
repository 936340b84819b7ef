import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { createPrefectClient } from "../../../src/client/prefect-client.ts";
import { silentLogger } from "../../../src/shared/logger.ts";
import { provideRelay, watchRelay } from "../../../worker/relay/provide-relay.ts";
import { findRegistration } from "../../../worker/relay/registration.ts";
import { buildRunAuthString } from "../../../worker/relay/run-token.ts";
import { provideSecret } from "../../../worker/relay/secret.ts";
import { flowyard } from "../../support/plane-process.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { LIMITS } from "./limits.ts";

describe("the relay of a machine", () => {
  let home: string;
  const stopping = { signal: new AbortController() };

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "flowyard-relay-"));
    stopping.signal = new AbortController();
  });
  afterEach(async () => {
    stopping.signal.abort();
    const left = await findRegistration(join(home, "relay"));
    if (left?.isAlive === true) {
      process.kill(left.pid, "SIGKILL");
    }
    await rm(home, { recursive: true, force: true });
  });

  function describeRelay(apiUrl = "http://127.0.0.1:9/api") {
    const api = { apiUrl, authString: "admin:s3cr3t-of-the-plane", apiKey: undefined };
    const settings = { api, folder: join(home, "relay"), hosts: ["127.0.0.1"], port: 0, limits: LIMITS };
    return { settings, program: [flowyard] as const, environment: {}, logger: silentLogger };
  }

  async function isHealthy(port: number): Promise<boolean> {
    const answer = await fetch(`http://127.0.0.1:${port}/relay/health`).catch(() => undefined);
    return answer?.ok === true;
  }

  async function countWaitingBytes(port: number): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${port}/relay/health`, { signal: AbortSignal.timeout(5000) });
    return z.object({ waiting_bytes: z.number() }).parse(await answer.json()).waiting_bytes;
  }

  test("is started once, as a process of its own, and found by the next worker", async () => {
    const first = await provideRelay(describeRelay());
    const second = await provideRelay(describeRelay());

    assert.deepEqual(second, first);
    assert.equal(await isHealthy(first.port), true);
  });

  test("is one and the same for workers that start at the same moment", async () => {
    const dependencies = describeRelay();

    const places = await Promise.all([1, 2, 3].map(() => provideRelay(dependencies)));

    const stays = await findRegistration(dependencies.settings.folder);
    assert.deepEqual(
      places.map(({ port }) => port),
      [stays?.port, stays?.port, stays?.port],
    );
    const readLog = () => readFile(join(dependencies.settings.folder, "relay.log"), "utf8");
    const countEnds = async () => (await readLog()).match(/is running already/g)?.length ?? 0;
    await waitUntil(async () => (await countEnds()) >= 2, { timeoutMs: 10_000, what: "the end of the others" });
    assert.equal(await isHealthy(stays?.port ?? 0), true);

    // The others must have left alone what it keeps its lines in.
    const run = { flow_run_id: uuidv7(), fencing_token: null };
    const authString = buildRunAuthString(await provideSecret(dependencies.settings.folder), run);
    const apiUrl = `http://127.0.0.1:${stays?.port}/api`;
    const timestamp = new Date().toISOString();
    const line = { name: "flows", level: 20, message: "kept", timestamp, flow_run_id: run.flow_run_id };
    await createPrefectClient({ apiUrl, authString }).logs.create([line]);
    const waitingBytes = await countWaitingBytes(stays?.port ?? 0);
    assert.ok(waitingBytes > 0);
    process.kill(stays?.pid ?? 0, "SIGKILL");
    await waitUntil(async () => !(await isHealthy(stays?.port ?? 0)), { timeoutMs: 10_000, what: "its death" });
    const { port } = await provideRelay(dependencies);
    assert.equal(await countWaitingBytes(port), waitingBytes);
  });

  test("is started again at its port when it was killed", async () => {
    const dependencies = describeRelay();
    const { port } = await provideRelay(dependencies);
    const watching = watchRelay(dependencies, stopping.signal.signal);
    const killed = await findRegistration(dependencies.settings.folder);
    process.kill(killed?.pid ?? 0, "SIGKILL");

    await waitUntil(
      async () =>
        (await isHealthy(port)) && (await findRegistration(dependencies.settings.folder))?.pid !== killed?.pid,
      { timeoutMs: 20_000, what: "a new relay at the old port" },
    );
    stopping.signal.abort();
    await watching;
  });

  test("is started anew for another plane, at the same port, and its log has no secret", async () => {
    const first = await provideRelay(describeRelay());
    const before = await findRegistration(first.folder);
    const second = await provideRelay(describeRelay("http://127.0.0.1:10/api"));

    assert.equal(second.port, first.port);
    assert.notEqual((await findRegistration(first.folder))?.pid, before?.pid);
    assert.doesNotMatch(await readFile(join(first.folder, "relay.log"), "utf8"), /s3cr3t/);
  });
});
