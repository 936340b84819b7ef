import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { LiveBus } from "../orchestration/events/live-bus.ts";
import type { SchemaCache } from "../prefect-api/json-schema.ts";
import type { Clock } from "../shared/clock.ts";
import type { Store } from "../storage/store.ts";
import type { Credentials } from "./auth.ts";
import type { LoopRunner } from "./loops/run-loops.ts";

export interface AppDeps {
  store: Store;
  clock: Clock;
  bus: LiveBus;
  /** Null: anyone who can connect may do everything. */
  credentials: Credentials | null;
  logLevel: "debug" | "info" | "warn" | "error" | "silent";
  /** Takes the JSON lines of the log; stdout when left out. */
  logStream?: { write(line: string): void };
  /** What this process does by itself; left out where it only answers. */
  loops?: Pick<LoopRunner, "listStatuses" | "findProblem">;
  /** After which its loops end a cancellation; left out where it has none. */
  cancellingTimeoutSeconds?: number;
}

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

export interface RouteDeps extends AppDeps {
  /** Compiled once per version of a deployment or pool, for all routes together. */
  schemas: SchemaCache;
}
