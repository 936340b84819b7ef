import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { type EngineSettings, readEngineSettings } from "../../src/docker/engine-address.ts";

interface FakeRequest {
  method: string;
  /** Without the query. */
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: string;
}

/** JSON, lines of JSON as progress streams are, bytes, or whatever the test does with the response itself. */
type FakeAnswer =
  | { status: number; json?: unknown }
  | { status: number; lines: unknown[] }
  | { status: number; bytes: Buffer }
  | { respond: (response: ServerResponse) => void };

export interface FakeDocker extends AsyncDisposable {
  socketPath: string;
  requests: FakeRequest[];
  settings: EngineSettings;
  connect(): Promise<Engine>;
}

const VERSION = { Version: "20.10.24", ApiVersion: "1.41", Os: "linux", Components: [{ Name: "Engine" }] };

/**
 * An engine that speaks Docker's HTTP on a unix socket and answers what the test says: for the error paths that a real
 * engine cannot be brought to. `answer` may leave a request to the default (undefined): /version, /_ping, 404.
 */
export async function startFakeDocker(
  answer: (request: FakeRequest) => FakeAnswer | undefined | Promise<FakeAnswer | undefined>,
): Promise<FakeDocker> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-docker-"));
  const socketPath = join(folder, "docker.sock");
  const requests: FakeRequest[] = [];
  const server = createServer(async (incoming, response) => {
    const url = new URL(incoming.url ?? "/", "http://docker");
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) {
      chunks.push(chunk);
    }
    const request = {
      method: incoming.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: Buffer.concat(chunks).toString(),
    };
    requests.push(request);
    send(response, (await answer(request)) ?? answerByDefault(request));
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const settings = readEngineSettings({ HOME: folder, DOCKER_HOST: `unix://${socketPath}` });
  return {
    socketPath,
    requests,
    settings,
    connect: () => findEngine(settings),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function answerByDefault({ path }: FakeRequest): FakeAnswer {
  if (path === "/version") {
    return { status: 200, json: VERSION };
  }
  return path === "/_ping" ? { status: 200, json: "OK" } : { status: 404, json: { message: `no such path ${path}` } };
}

function send(response: ServerResponse, answer: FakeAnswer): void {
  if ("respond" in answer) {
    answer.respond(response);
    return;
  }
  response.writeHead(answer.status, { "content-type": "application/json" });
  if ("lines" in answer) {
    response.end(answer.lines.map((line) => `${JSON.stringify(line)}\r\n`).join(""));
  } else if ("bytes" in answer) {
    response.end(answer.bytes);
  } else {
    response.end(answer.json === undefined ? undefined : JSON.stringify(answer.json));
  }
}
