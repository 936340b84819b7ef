import { once } from "node:events";
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

/** What the proxy does instead of, or before, asking the real registry. */
export interface RegistryFault {
  status?: number;
  headers?: Record<string, string>;
  /** Registry errors carry a code of the distribution protocol: UNAUTHORIZED, DENIED, TOOMANYREQUESTS, UNKNOWN. */
  code?: string;
  delayMs?: number;
}

export interface RegistryProxy extends AsyncDisposable {
  /** host:port, for image names. */
  address: string;
  requests: { method: string; path: string }[];
  /** Decides for each request; undefined lets it through. */
  fault: (method: string, path: string) => RegistryFault | undefined;
}

/** A real registry that fails as the test wants. */
export async function startRegistryProxy(target: string): Promise<RegistryProxy> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the registry proxy has no port");
  }
  const proxy: RegistryProxy = {
    address: `127.0.0.1:${address.port}`,
    requests: [],
    fault: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  server.on("request", (incoming: IncomingMessage, response: ServerResponse) => {
    answer(proxy, target, incoming, response).catch(() => response.destroy());
  });
  return proxy;
}

async function answer(proxy: RegistryProxy, target: string, incoming: IncomingMessage, response: ServerResponse) {
  const { method = "GET", url = "/" } = incoming;
  const path = new URL(url, "http://registry").pathname;
  proxy.requests.push({ method, path });
  const fault = proxy.fault(method, path);
  await delay(fault?.delayMs ?? 0);
  if (fault?.status !== undefined) {
    incoming.resume();
    response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
    response.end(JSON.stringify({ errors: [{ code: fault.code ?? "UNKNOWN", message: "planned by the test" }] }));
    return;
  }
  const [host = "", port = ""] = target.split(":");
  // The Host header stays the proxy's, so that the places of uploads are its too.
  const forwarded = ask({ host, port, method, path: url, headers: incoming.headers }, (real) => {
    response.writeHead(real.statusCode ?? 502, real.headers);
    real.pipe(response);
  });
  forwarded.on("error", () => response.destroy());
  incoming.pipe(forwarded);
}
