import { createServer, type Server, type ServerResponse } from "node:http";
import { errorMessage, UserError } from "../src/shared/errors.ts";
import type { WorkerMetrics } from "./metrics.ts";

export interface HealthServer {
  port: number;
  close(): Promise<void>;
}

interface HealthDependencies {
  isHealthy(): boolean;
  metrics: Pick<WorkerMetrics, "render">;
}

/**
 * `GET /health` as Prefect's worker answers it, and `GET /metrics` for Prometheus. Throws UserError ADDRESS_IN_USE,
 * ADDRESS_UNUSABLE.
 */
export async function startHealthServer(
  { host, port }: { host: string; port: number },
  own: HealthDependencies,
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split("?", 1)[0];
    if (request.method !== "GET" && request.method !== "HEAD") {
      answer(response, 405, "application/json", JSON.stringify({ detail: "Method Not Allowed" }));
      return;
    }
    switch (path) {
      case "/health":
        answerHealth(response, own.isHealthy());
        return;
      case "/metrics":
        own.metrics.render().then(
          ({ contentType, text }) => answer(response, 200, contentType, text),
          (error: unknown) => answer(response, 500, "text/plain", errorMessage(error)),
        );
        return;
      default:
        answer(response, 404, "application/json", JSON.stringify({ detail: "Not Found" }));
    }
  });
  await listen(server, host, port);
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answerHealth(response: ServerResponse, isHealthy: boolean): void {
  const body = { message: isHealthy ? "OK" : "Worker may be unresponsive at this time" };
  answer(response, isHealthy ? 200 : 503, "application/json", JSON.stringify(body));
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) }).end(body);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const isTaken = "code" in cause && cause.code === "EADDRINUSE";
      reject(
        new UserError(
          isTaken ? "ADDRESS_IN_USE" : "ADDRESS_UNUSABLE",
          `The health server cannot listen on ${host}:${port}: ${cause.message}`,
          {
            hint: "Set PREFECT_WORKER_WEBSERVER_HOST and PREFECT_WORKER_WEBSERVER_PORT to an address of its own.",
            cause,
          },
        ),
      );
    });
    server.listen(port, host, () => resolve());
  });
}
