import Fastify, { LogController } from "fastify";
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from "fastify-type-provider-zod";
import type { z } from "zod";
import { parseJson } from "../prefect-api/parse-json.ts";
import { stopEarly } from "../prefect-api/stop-early.ts";
import { errorMessage } from "../shared/errors.ts";
import { registerSocketSupport } from "../sockets/socket-support.ts";
import { checkApiVersion } from "./api-version.ts";
import type { App, AppDeps } from "./app-deps.ts";
import { buildAuthHook } from "./auth.ts";
import { buildBrowserGuard } from "./browser-guard.ts";
import { answerUnroutable, buildErrorHandler, MAX_BODY_BYTES, UnreadableBody } from "./errors.ts";
import { PlaneMetrics } from "./metrics.ts";
import { RefusalLog } from "./refusal-log.ts";
import { registerMetrics } from "./routes/flowyard/metrics.ts";
import { registerRoutes } from "./routes.ts";

/** Names of flows and pools travel in paths; Prefect puts no limit on them, the database of most users does. */
const MAX_PATH_PART_CHARACTERS = 2000;

/** How long a request may take to arrive. Prefect's clients give up after 60 s. */
const REQUEST_TIMEOUT_MS = 120_000;

/** The plane's HTTP side over an open store. The caller listens, or injects, and closes. */
export async function buildApp(deps: AppDeps): Promise<App> {
  const app = Fastify({
    logger:
      deps.logLevel === "silent"
        ? false
        : { level: deps.logLevel, ...(deps.logStream === undefined ? {} : { stream: deps.logStream }) },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    frameworkErrors: answerUnroutable,
    forceCloseConnections: "idle",
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PATH_PART_CHARACTERS },
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler<z.core.$ZodType>((route) =>
    validatorCompiler({ ...route, schema: stopEarly(route.schema) }),
  );
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(buildErrorHandler(new RefusalLog()));
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ detail: "Not Found", code: "NOT_FOUND" }));
  readEveryBodyAsJson(app);
  await registerSocketSupport(app);
  const metrics = new PlaneMetrics(deps);
  app.addHook("onResponse", (request, reply, done) => {
    metrics.note(request, reply);
    done();
  });
  app.addHook("onRequest", buildBrowserGuard({ hasCredentials: deps.credentials !== null }));
  if (deps.credentials !== null) {
    app.addHook("onRequest", buildAuthHook(deps.credentials));
  }
  app.addHook("onRequest", checkApiVersion);
  // Prefect's bodies are optional wherever every key is.
  app.addHook("preValidation", (request, _reply, done) => {
    request.body ??= {};
    done();
  });
  await app.register(
    (api, _options, done) => {
      registerRoutes(api.withTypeProvider<ZodTypeProvider>(), deps);
      registerMetrics(api.withTypeProvider<ZodTypeProvider>(), metrics);
      done();
    },
    { prefix: "/api" },
  );
  return app;
}

/** JSON whatever the content type says, or when it says nothing. */
function readEveryBodyAsJson(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => {
    if (body === "") {
      done(null, undefined);
      return;
    }
    try {
      done(null, parseJson(String(body)));
    } catch (error) {
      done(new UnreadableBody(errorMessage(error)));
    }
  });
}
