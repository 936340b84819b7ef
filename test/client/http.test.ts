import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { afterEach, describe, test } from "node:test";
import { createPrefectClient, type PrefectClientOptions } from "../../src/client/prefect-client.ts";
import { refusalDetail, refusalStatus } from "../../src/client/refusal.ts";
import { TransientError, UserError } from "../../src/shared/errors.ts";

type Reply = (request: IncomingMessage, response: ServerResponse, body: string) => void;

const servers: Server[] = [];

/** A server that gives its replies in turn, the last one for ever. */
async function startServer(...replies: Reply[]) {
  const seen: { method: string; url: string; headers: IncomingMessage["headers"]; body: string }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString("utf8");
      seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
      const reply = replies[Math.min(seen.length, replies.length) - 1];
      reply?.(request, response, body);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(address !== null && typeof address === "object");
  const apiUrl = `http://127.0.0.1:${address.port}/api`;
  const connect = (options: Partial<PrefectClientOptions> = {}) =>
    createPrefectClient({ apiUrl, retry: { firstDelayMs: 1 }, ...options });
  return { apiUrl, seen, connect };
}

describe("the client over HTTP", () => {
  afterEach(stopServers);

  async function stopServers(): Promise<void> {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  function reply(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
    return (_request, response) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    };
  }

  test("every request says who we are and which API we speak", async () => {
    const { seen, connect } = await startServer(reply(200, true));

    await connect({ authString: "admin:pass", apiKey: "key" }).server.isHealthy();
    await connect({ apiKey: "key" }).server.isHealthy();

    assert.match(seen[0]?.headers["user-agent"] ?? "", /^flowyard\/\d/);
    assert.equal(seen[0]?.headers["x-prefect-api-version"], "0.8.4");
    assert.equal(seen[0]?.headers.authorization, `Basic ${Buffer.from("admin:pass").toString("base64")}`);
    assert.equal(seen[1]?.headers.authorization, "Bearer key");
  });

  for (const status of [408, 429, 502, 503]) {
    test(`a ${status} is tried again until the server answers`, async () => {
      const { seen, connect } = await startServer(reply(status, {}), reply(status, {}), reply(200, true));

      await connect().server.isHealthy();

      assert.equal(seen.length, 3);
    });
  }

  test("a request is given up after five retries with the last answer in the message", async () => {
    const { seen, connect } = await startServer(reply(503, { exception_message: "Service Unavailable" }));

    await assert.rejects(connect().server.isHealthy(), (error) => {
      assert(error instanceof TransientError);
      assert.equal(error.code, "PLANE_FAILED");
      assert.match(error.message, /503.*Service Unavailable/);
      return true;
    });
    assert.equal(seen.length, 6);
  });

  test("retries during announced maintenance do not count", async () => {
    const maintenance = reply(503, {}, { "Prefect-Maintenance": "true", "Retry-After": "0" });
    const { seen, connect } = await startServer(...Array.from({ length: 8 }, () => maintenance), reply(200, true));

    await connect({ retry: { retries: 1, firstDelayMs: 1 } }).server.isHealthy();

    assert.equal(seen.length, 9);
  });

  test("Retry-After wins over the back-off", async () => {
    const { connect } = await startServer(reply(429, {}, { "Retry-After": "0" }), reply(200, true));

    await connect({ retry: { firstDelayMs: 60_000 } }).server.isHealthy();
  });

  test("a connection that the server drops is tried again", async () => {
    const { seen, connect } = await startServer((request) => request.socket.destroy(), reply(200, true));

    await connect().server.isHealthy();

    assert.equal(seen.length, 2);
  });

  test("a server that is not there is named at once, with what to do", async () => {
    const { apiUrl, connect } = await startServer();
    await stopServers();
    const client = connect({ retry: { firstDelayMs: 60_000 } });

    await assert.rejects(client.server.isHealthy(), (error) => {
      assert(error instanceof TransientError);
      assert.equal(error.code, "PLANE_UNREACHABLE");
      assert(error.message.includes(`nothing listens at ${apiUrl}. Start one with \`flowyard server start\``));
      return true;
    });
  });

  test("refused credentials are UNAUTHORIZED and not retried", async () => {
    const { seen, connect } = await startServer(reply(401, { exception_message: "Unauthorized" }));

    await assert.rejects(connect().workPools.list(), { name: "UserError", code: "UNAUTHORIZED" });
    assert.equal(seen.length, 1);
  });

  test("find answers undefined for a 404, get throws NOT_FOUND with the server's words", async () => {
    const { connect } = await startServer(reply(404, { detail: 'Work pool "x" not found.' }));

    assert.equal(await connect().workPools.find("x"), undefined);
    await assert.rejects(connect().workPools.get("x"), { code: "NOT_FOUND", message: 'Work pool "x" not found.' });
  });

  test("a refusal carries the server's detail and status", async () => {
    const detail = "A work pool with this name already exists.";
    const { connect } = await startServer(reply(409, { detail }));

    await assert.rejects(connect().workPools.create({ name: "x" }), (error) => {
      assert(error instanceof UserError);
      assert.equal(error.code, "PLANE_REFUSED");
      assert.equal(refusalStatus(error), 409);
      assert.equal(refusalDetail(error), detail);
      assert.match(error.message, /409.*already exists/);
      return true;
    });
  });

  test("a validation error names each field", async () => {
    const exception_detail = [{ loc: ["body", "name"], msg: "Field required", type: "missing" }];
    const { connect } = await startServer(
      reply(422, { exception_message: "Invalid request received.", exception_detail }),
    );

    await assert.rejects(connect().workPools.create({ name: "x" }), /body\.name: Field required/);
  });

  test("a page that is not JSON points at the API URL", async () => {
    const { connect } = await startServer((_request, response) => response.end("<html>"));

    await assert.rejects(connect().workPools.list(), { code: "PLANE_ANSWER_INVALID", hint: /ends in \/api/ });
  });

  test("a name with blanks and quotes is one encoded part of the path", async () => {
    const { seen, connect } = await startServer(reply(404, { detail: "no" }));

    await connect().deployments.findByName("get repo?", "my#deployment");

    assert.equal(seen[0]?.url, "/api/deployments/name/get%20repo%3F/my%23deployment");
  });

  test("a listing reads pages of 200 until a short one", async () => {
    const flow = (index: number) => ({
      id: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
      created: "2026-01-01T00:00:00Z",
      updated: "2026-01-01T00:00:00Z",
      name: `flow-${index}`,
      tags: [],
      labels: {},
    });
    const page: Reply = (_request, response, body) => {
      const { limit, offset } = JSON.parse(body);
      const rows = Array.from({ length: Math.max(0, Math.min(limit, 450 - offset)) }, (_, index) =>
        flow(offset + index),
      );
      response.end(JSON.stringify(rows));
    };
    const { seen, connect } = await startServer(page);

    assert.equal((await connect().flows.list()).length, 450);
    assert.equal(seen.length, 3);
    assert.equal((await connect().flows.list({}, { limit: 250 })).length, 250);
    assert.equal(JSON.parse(seen[4]?.body ?? "").limit, 50);
  });

  test("an aborted client stops waiting for its next try", async () => {
    const controller = new AbortController();
    const { connect } = await startServer((_request, response) => {
      response.writeHead(503, { "retry-after": "60" });
      response.end(() => controller.abort());
    });

    await assert.rejects(connect({ signal: controller.signal }).server.isHealthy(), { name: "AbortError" });
  });

  test("a text that is no URL is refused before anything is sent", () => {
    assert.throws(() => createPrefectClient({ apiUrl: "localhost:4200" }), { code: "CONFIG_INVALID" });
  });
});
