import Fastify from "fastify";
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from "fastify-type-provider-zod";
import { registerRoutes } from "../../src/server/routes.ts";
import type { TestPlane } from "./build-test-plane.ts";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;
export type Method = (typeof METHODS)[number];

export interface Route {
  method: Method;
  path: string;
  body: unknown;
}

/** Asked of the registration itself, as the app has it: whatever is added there is looked at here. */
export async function listRoutes(plane: TestPlane): Promise<Route[]> {
  const routes: Route[] = [];
  const collector = Fastify().withTypeProvider<ZodTypeProvider>();
  collector.setValidatorCompiler(validatorCompiler);
  collector.setSerializerCompiler(serializerCompiler);
  collector.addHook("onRoute", ({ method, url, schema }) => {
    for (const one of METHODS.filter((known) => [method].flat().includes(known))) {
      routes.push({ method: one, path: `/api${url}`, body: schema?.body });
    }
  });
  const clock = { now: () => plane.now() };
  registerRoutes(collector, { store: plane.store, bus: plane.bus, clock, credentials: null, logLevel: "silent" });
  await collector.ready();
  await collector.close();
  return routes;
}
