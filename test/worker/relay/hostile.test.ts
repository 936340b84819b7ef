import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { silentLogger } from "../../../src/shared/logger.ts";
import { buildRunAuthString } from "../../../worker/relay/run-token.ts";
import { provideSecret } from "../../../worker/relay/secret.ts";
import { type RunningRelay, startRelay } from "../../../worker/relay/start-relay.ts";
import { LIMITS } from "./limits.ts";

const RUN = "0190a8a5-0000-7000-8000-000000000001";
const AUTH = "admin:open sesame";

describe("a container that somebody else controls", () => {
  let folder: string;
  let relay: RunningRelay;
  let authorization: string;
  const asked: Pick<IncomingMessage, "method" | "url" | "headers">[] = [];
  const plane = createServer((request, response) => {
    if (request.url !== `/api/flow_runs/${RUN}`) {
      asked.push({ method: request.method, url: request.url, headers: request.headers });
    }
    request.resume();
    request.on("end", () =>
      response.writeHead(200, { "content-type": "application/json" }).end('{"state_type":"RUNNING"}'),
    );
  });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-relay-"));
    plane.listen(0, "127.0.0.1");
    await once(plane, "listening");
    const address = plane.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const api = { apiUrl: `http://127.0.0.1:${port}/api`, authString: AUTH, apiKey: undefined };
    relay = await startRelay({ api, folder, hosts: ["127.0.0.1"], port: 0, limits: LIMITS }, silentLogger);
    const token = buildRunAuthString(await provideSecret(folder), { flow_run_id: RUN, fencing_token: 3 });
    authorization = `Basic ${Buffer.from(token).toString("base64")}`;
  });
  after(async () => {
    await relay.stop();
    plane.closeAllConnections();
    plane.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    asked.length = 0;
  });

  /** Bytes as they are; answers with the head of what comes back, or nothing when the relay closes. */
  async function sendRaw(head: string, body = ""): Promise<string> {
    const socket = connect(relay.port, "127.0.0.1");
    socket.on("error", () => undefined);
    const lines = `${head}\r\nhost: relay\r\nauthorization: ${authorization}\r\nconnection: close\r\n\r\n`;
    socket.write(lines + body);
    let text = "";
    for await (const chunk of socket.setEncoding("utf8")) {
      text += chunk;
      if (text.includes("\r\n\r\n")) {
        socket.destroy();
        break;
      }
    }
    return text;
  }

  test("says no header that is the relay's to say, nor one of a connection", async () => {
    const headers = [
      "flowyard-fencing-token: 99",
      "flowyard-anything: x",
      "x-forwarded-for: 1.2.3.4",
      "prefect-automation-id: x",
      "proxy-authorization: x",
      "cookie: x",
      "te: trailers",
      "keep-alive: nonsense",
      "x-own: kept",
    ].join("\r\n");

    await sendRaw(`POST /api/flow_runs/${RUN}/set_state HTTP/1.1\r\n${headers}\r\ncontent-length: 2`, "{}");
    await sendRaw(`POST /api/flows/filter HTTP/1.1\r\n${headers}\r\ncontent-length: 2`, "{}");

    const [own, other] = asked.map((request) => request.headers);
    assert.equal(own?.["flowyard-fencing-token"], "3");
    assert.equal(other?.["flowyard-fencing-token"], undefined);
    for (const each of [own, other]) {
      assert.equal(each?.authorization, `Basic ${Buffer.from(AUTH).toString("base64")}`);
      assert.equal(each?.["x-own"], "kept");
      const foreign = /^(?:flowyard-anything|x-forwarded.*|prefect-automation.*|proxy-.*|cookie|te|keep-alive)$/;
      assert.deepEqual(
        Object.keys(each ?? {}).filter((name) => foreign.test(name)),
        [],
      );
    }
  });

  test("cannot take away by `connection` what the relay says", async () => {
    await sendRaw(
      `POST /api/flow_runs/${RUN}/set_state HTTP/1.1\r\nconnection: authorization, flowyard-fencing-token\r\ncontent-length: 2`,
      "{}",
    );

    assert.equal(asked[0]?.headers["flowyard-fencing-token"], "3");
    assert.ok(asked[0]?.headers.authorization);
  });

  for (const [what, head, body] of [
    [
      "lengths of two kinds",
      "POST /api/flows/filter HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked",
      "0\r\n\r\nGET /api/flowyard/status HTTP/1.1\r\n\r\n",
    ],
    ["two lengths", "POST /api/flows/filter HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 40", "{}"],
    ["a folded length", "POST /api/flows/filter HTTP/1.1\r\ncontent-length:\r\n 2", "{}"],
    ["another address", "GET http://127.0.0.1:1/api/flows HTTP/1.1", ""],
    ["another host's path", "GET //elsewhere/api/flows HTTP/1.1", ""],
    ["a way up", "GET /api/x/%2e%2e/flowyard/status HTTP/1.1", ""],
    ["a half-hidden root", "GET /%61pi/flowyard/status HTTP/1.1", ""],
    ["a tunnel", "CONNECT 127.0.0.1:1 HTTP/1.1", ""],
    ["HTTP/2", "GET /api/flowyard/status HTTP/1.1\r\nupgrade: h2c", ""],
    ["a verb that nobody knows", "TRACE /api/flows HTTP/1.1", ""],
  ] as const) {
    test(`asks with ${what}, and the plane hears nothing`, async () => {
      const answer = await sendRaw(head, body);

      assert.doesNotMatch(answer, /^HTTP\/1\.1 [12]/);
      assert.deepEqual(asked, []);
    });
  }

  test("sends a body too large, told or untold, and it is refused here", async () => {
    const large = "x".repeat(9 * 1024 * 1024);
    for (const body of [large, new Blob([large]).stream()]) {
      const answer = await fetch(`http://127.0.0.1:${relay.port}/api/flows/filter`, {
        method: "POST",
        headers: { authorization },
        body,
        duplex: "half",
      }).catch(() => undefined);
      assert.ok(answer === undefined || answer.status === 413);
    }
    assert.deepEqual(asked, []);
  });

  test("opens many slow uploads, and others are answered all the same", async () => {
    const head = `POST /api/flows/filter HTTP/1.1\r\nhost: relay\r\nauthorization: ${authorization}\r\ncontent-length: 100\r\n\r\n{`;
    const slow = Array.from({ length: 300 }, () => connect(relay.port, "127.0.0.1"));
    for (const socket of slow) {
      socket.on("error", () => undefined);
      socket.write(head);
    }
    try {
      const other = buildRunAuthString(await provideSecret(folder), {
        flow_run_id: RUN.replace(/1$/, "2"),
        fencing_token: null,
      });
      const answer = await fetch(`http://127.0.0.1:${relay.port}/api/flows/x`, {
        headers: { authorization: `Basic ${Buffer.from(other).toString("base64")}` },
        signal: AbortSignal.timeout(10_000),
      });
      assert.equal(answer.status, 200);
    } finally {
      for (const socket of slow) {
        socket.destroy();
      }
    }
  });
});
