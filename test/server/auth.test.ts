import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { openTestSocket } from "./test-socket.ts";

const AUTH_STRING = "admin:p:ss wörd";
const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

async function ask(path: string, authorization?: string, extra: Record<string, string> = {}) {
  await using plane = await buildTestPlane({ authString: AUTH_STRING });
  const headers = { ...(authorization !== undefined && { authorization }), ...extra };
  const answer = await plane.app.inject({ method: "GET", url: `/api${path}`, headers });
  return { status: answer.statusCode, body: answer.json() };
}

describe("with credentials", () => {
  test("probes are answered without them", async () => {
    assert.equal((await ask("/health")).status, 200);
    assert.equal((await ask("/ready/")).status, 200);
  });

  test("everything else is refused without them, whether it exists or not", async () => {
    for (const path of ["/admin/version", "/flows/name/x", "/csrf-token", "/no/such/path", "/health/../version"]) {
      const { status, body } = await ask(path);
      assert.deepEqual([status, body.exception_message], [401, "Unauthorized"], path);
    }
  });

  test("they are taken as Basic and as Bearer", async () => {
    assert.equal((await ask("/admin/version", basic(AUTH_STRING))).status, 200);
    assert.equal((await ask("/admin/version", `Bearer ${AUTH_STRING.replaceAll(" ", "%20")}`)).status, 401);
    assert.equal((await ask("/admin/version", `bearer ${AUTH_STRING}`)).status, 200);
  });

  test("wrong ones are refused", async () => {
    for (const header of ["", "Basic", "Basic !!!", basic("admin:other"), basic(""), "Digest x", "Bearer admin"]) {
      assert.equal((await ask("/admin/version", header)).status, 401, header);
    }
  });

  test("asking for a socket opens no ordinary route", async () => {
    const upgrade = { upgrade: "websocket", connection: "upgrade" };

    assert.equal((await ask("/admin/version", undefined, upgrade)).status, 401);
  });
});

test("an upgrade of an ordinary route is refused without credentials, one of a socket is let through to its handshake", async () => {
  await using plane = await buildTestPlane({ authString: AUTH_STRING });

  await assert.rejects(openTestSocket(plane.app, "/api/admin/version"), /401/);
  await assert.rejects(openTestSocket(plane.app, "/api/work_pools/p/workers/connect"), /404/);
  const socket = await openTestSocket(plane.app, "/api/events/out");
  socket.send({ type: "auth", token: null });
  assert.equal(await socket.closed, 1008);
});

test("without credentials everything is open", async () => {
  await using plane = await buildTestPlane();

  assert.equal((await plane.app.inject({ method: "GET", url: "/api/admin/version" })).statusCode, 200);
});
