import { once } from "node:events";
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** What happens to a request: it is passed on, or the connection breaks before or after the plane has done it. */
type Fate = "pass" | "cut before" | "cut after";

export interface PlaneProxy extends AsyncDisposable {
  apiUrl: string;
  /** The plane behind it; another one after a restart. */
  target: string;
  requests: string[];
  decide: (method: string, path: string) => Fate | Promise<Fate>;
  /** Breaks what is under way. */
  cut(): void;
}

/** A fixed address for a plane that dies and comes back, and a network that breaks at a chosen request. */
export async function startPlaneProxy(target: string, host = "127.0.0.1"): Promise<PlaneProxy> {
  const server = createServer();
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the plane's proxy has no port");
  }
  const proxy: PlaneProxy = {
    apiUrl: `http://${host}:${address.port}/api`,
    target,
    requests: [],
    decide: () => "pass",
    cut: () => server.closeAllConnections(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  server.on("request", (incoming: IncomingMessage, response: ServerResponse) => {
    pass(proxy, incoming, response).catch(() => response.destroy());
  });
  return proxy;
}

async function pass(proxy: PlaneProxy, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "GET", url = "/" } = incoming;
  proxy.requests.push(`${method} ${url}`);
  const fate = await proxy.decide(method, url);
  if (fate === "cut before") {
    response.destroy();
    return;
  }
  const { hostname, port } = new URL(proxy.target);
  const forwarded = ask({ hostname, port, method, path: url, headers: incoming.headers }, (real) => {
    if (fate === "cut after") {
      real.resume().on("end", () => response.destroy());
      return;
    }
    real.on("error", () => response.destroy()); // the plane died in the middle of its answer
    response.writeHead(real.statusCode ?? 502, real.headers);
    real.pipe(response);
  });
  forwarded.on("error", () => response.destroy());
  incoming.pipe(forwarded);
}
