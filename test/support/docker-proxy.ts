import { mkdtemp, rm } from "node:fs/promises";
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface DockerProxy extends AsyncDisposable {
  /** For DOCKER_HOST. */
  host: string;
  /** Whether a request is never answered, and never reaches the engine. */
  hangs: (method: string, path: string) => boolean;
  /** What hangs. */
  hanging: string[];
}

/** A real engine that stops answering what the test says. */
export async function startDockerProxy(dockerHost: string): Promise<DockerProxy> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-docker-proxy-"));
  const path = join(folder, "docker.sock");
  const target = dockerHost.replace(/^unix:\/\//, "");
  const server = createServer();
  const proxy: DockerProxy = {
    host: `unix://${path}`,
    hangs: () => false,
    hanging: [],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
  server.on("request", (incoming: IncomingMessage, response: ServerResponse) => {
    const { method = "GET", url = "/", headers } = incoming;
    if (proxy.hangs(method, url)) {
      proxy.hanging.push(`${method} ${url}`);
      return;
    }
    const forwarded = ask({ socketPath: target, method, path: url, headers }, (real) => {
      response.writeHead(real.statusCode ?? 502, real.headers);
      response.flushHeaders();
      real.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    response.on("close", () => forwarded.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return proxy;
}
