import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createServer as createRawServer, type Server as RawServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { silentLogger } from "../../../src/shared/logger.ts";
import { buildRunAuthString } from "../../../worker/relay/run-token.ts";
import { provideSecret } from "../../../worker/relay/secret.ts";
import { type RunningRelay, startRelay } from "../../../worker/relay/start-relay.ts";
import { LIMITS } from "./limits.ts";

const RUN = "0190a8a5-0000-7000-8000-000000000001";
const ANSWER_MS = 500;

/** A certificate that nobody has signed. */
async function makeCertificate(folder: string): Promise<{ key: Buffer; cert: Buffer }> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  await promisify(execFile)("openssl", ["req", ...kind, "-keyout", key, "-out", cert, ...name]);
  return { key: await readFile(key), cert: await readFile(cert) };
}

describe("what a run hears while its plane is in trouble", () => {
  let folder: string;
  let relay: RunningRelay | undefined;
  let server: Server | RawServer | undefined;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-relay-"));
  });
  afterEach(async () => {
    await relay?.stop();
    relay = undefined;
    for (const socket of sockets) {
      socket.destroy();
    }
    sockets.clear();
    await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
    server = undefined;
    await rm(folder, { recursive: true, force: true });
  });

  async function listen<S extends Server | RawServer>(opened: S): Promise<number> {
    server = opened;
    opened.on("connection", (socket: Socket) => sockets.add(socket));
    opened.listen(0, "127.0.0.1");
    await once(opened, "listening");
    const address = opened.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** One request of a run through a relay of the plane at that address. */
  async function ask(
    apiUrl: string,
    { method = "GET", path = `/flows/${RUN}`, headers = {} as Record<string, string>, body = "" } = {},
  ) {
    const api = { apiUrl, authString: "admin:open sesame", apiKey: undefined };
    const place = { folder, hosts: ["127.0.0.1"], port: 0, limits: LIMITS };
    relay = await startRelay({ api, ...place, answerMs: ANSWER_MS }, silentLogger);
    const authString = buildRunAuthString(await provideSecret(folder), { flow_run_id: RUN, fencing_token: null });
    const authorization = `Basic ${Buffer.from(authString).toString("base64")}`;
    return fetch(`http://127.0.0.1:${relay.port}/api${path}`, {
      method,
      headers: { authorization, ...headers },
      ...(body === "" ? {} : { body }),
    });
  }

  async function askThrough(answer: RequestListener, request: Parameters<typeof ask>[1] = {}) {
    const port = await listen(
      createServer((asked, answered) => {
        if (asked.url === `/api/flow_runs/${RUN}`) {
          answered.writeHead(200, { "content-type": "application/json" }).end('{"state_type":"RUNNING"}');
        } else {
          answer(asked, answered);
        }
      }),
    );
    return ask(`http://127.0.0.1:${port}/api`, request);
  }

  /** The real client waits for as long as this says, and counts nothing. */
  async function assertMaintenance(response: Response): Promise<void> {
    assert.equal(response.status, 503);
    assert.equal(response.headers.get("prefect-maintenance"), "true");
    assert.ok(Number(response.headers.get("retry-after")) > 0);
    assert.match(await response.text(), /control plane is away/);
  }

  test("nothing listens: maintenance", async () => {
    const port = await listen(createRawServer());
    await new Promise((resolve) => server?.close(resolve));

    await assertMaintenance(await ask(`http://127.0.0.1:${port}/api`));
  });

  test("the connection breaks before an answer: maintenance", async () => {
    const port = await listen(createRawServer((socket) => socket.once("data", () => socket.resetAndDestroy())));

    await assertMaintenance(await ask(`http://127.0.0.1:${port}/api`));
  });

  for (const head of ["content-length: 1000", "transfer-encoding: chunked"]) {
    test(`the connection breaks in the middle of an answer with ${head}: maintenance`, async () => {
      const port = await listen(
        createRawServer((socket) =>
          socket.once("data", () => {
            const start = head.startsWith("transfer") ? '5\r\n{"id"' : '{"id"';
            socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\n${head}\r\n\r\n${start}`, () =>
              socket.resetAndDestroy(),
            );
          }),
        ),
      );

      const response = await ask(`http://127.0.0.1:${port}/api`);

      assert.equal(response.headers.get("content-encoding"), null);
      await assertMaintenance(response);
    });
  }

  test("the plane takes the request and never answers: maintenance", async () => {
    await assertMaintenance(await askThrough(() => undefined));
  });

  test("the plane begins its answer and never ends it: maintenance", async () => {
    await assertMaintenance(await askThrough((_request, response) => response.writeHead(200).write('{"id"')));
  });

  for (const status of [502, 503, 504, 520, 522, 530]) {
    test(`the plane, or a proxy in front of it, answers ${status}: maintenance, asked once`, async () => {
      let asked = 0;
      const response = await askThrough((_request, answer) => {
        asked += 1;
        answer.writeHead(status, { "retry-after": "7", "set-cookie": "x=y" }).end("<html>");
      });

      assert.equal(response.headers.get("set-cookie"), null);
      await assertMaintenance(response);
      assert.equal(asked, 1);
    });
  }

  test("the plane does not know the relay's credentials: maintenance, as the run's are right", async () => {
    await assertMaintenance(await askThrough((_request, answer) => answer.writeHead(401).end("{}")));
  });

  test("somebody without the plane's certificate is not the plane: maintenance, and hears no credentials", async () => {
    let heard = 0;
    const port = await listen(
      createSecureServer(await makeCertificate(folder), (_request, answer) => {
        heard += 1;
        answer.end("{}");
      }),
    );

    await assertMaintenance(await ask(`https://127.0.0.1:${port}/api`));
    assert.equal(heard, 0);
  });

  test("a proxy does not find the plane, and says so to people: maintenance", async () => {
    await assertMaintenance(
      await askThrough((_request, answer) => answer.writeHead(404, { "content-type": "text/plain" }).end("no backend")),
    );
  });

  for (const status of [200, 404, 409, 422, 429, 500]) {
    test(`${status} goes through as it is`, async () => {
      const response = await askThrough((_request, answer) =>
        answer.writeHead(status, { "content-type": "application/json", "x-of": "plane" }).end('{"a":1}'),
      );

      assert.equal(response.status, status);
      assert.equal(response.headers.get("x-of"), "plane");
      assert.equal(response.headers.get("prefect-maintenance"), null);
      assert.deepEqual(await response.json(), { a: 1 });
    });
  }

  test("a long answer goes through whole", async () => {
    const long = "x".repeat(12 * 1024 * 1024);

    const response = await askThrough((_request, answer) => answer.end(long));

    assert.equal((await response.text()).length, long.length);
  });

  test("an answer without a body goes through as it is", async () => {
    const port = await listen(createServer((_request, answer) => answer.writeHead(204).end()));

    const response = await ask(`http://127.0.0.1:${port}/api`, { method: "POST", path: "/flows/", body: "{}" });

    assert.equal(response.status, 204);
  });
});
