import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { stateDirectory } from "./config.ts";

/** A part that the set-up found or made, or why this machine has none. */
function partOf<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.discriminatedUnion("available", [
    z.object({ available: z.literal(true), ...shape }),
    z.object({ available: z.literal(false), reason: z.string(), remedy: z.string() }),
  ]);
}

const prefectPart = partOf({
  version: z.string(),
  /** Folder of the virtual environment. */
  venv: z.string(),
  /** The `prefect` program in it. */
  prefect: z.string(),
  python: z.string(),
});

/** What `npm test` and the demo may count on. Written by the set-up, read by tests. */
export const Machine = z.object({
  /** Value for DOCKER_HOST. */
  docker: partOf({ host: z.string(), version: z.string() }),
  /** Present in that engine; never pull it, a hub may not exist. */
  baseImage: partOf({ tag: z.string() }),
  registry: partOf({
    address: z.string(),
    private: z.object({ address: z.string(), username: z.string(), password: z.string() }),
  }),
  /** Prefect with prefect-docker. */
  prefect: prefectPart,
  /** The oldest supported Prefect; its server does not start with what pip installs today, so use it as a client. */
  oldestPrefect: prefectPart,
  /** A server for tests: `url` is that of its database `postgres`. */
  postgres: partOf({
    url: z.string(),
    version: z.string(),
    programs: z.string(),
    directory: z.string(),
    account: z.string().nullable(),
  }),
  /** Docker's buildx; tests link it into a folder `cli-plugins` of a Docker configuration of their own. */
  buildx: partOf({ plugin: z.string(), version: z.string() }),
  /** Docker Compose, linked in the same way. */
  compose: partOf({ plugin: z.string(), version: z.string() }),
  /** Present in the engine, with the variables of the official image. */
  postgresImage: partOf({ tag: z.string() }),
  /** Programs that check workflow files. */
  workflowLinters: partOf({ actionlint: z.string(), zizmor: z.string() }),
});
export type Machine = z.infer<typeof Machine>;

/** What the demo runs on; a Prefect of this machine's own only where there is no Docker engine. */
export type DemoMachine = Pick<Machine, "docker" | "baseImage"> & Partial<Pick<Machine, "prefect">>;

export const machineFile = join(stateDirectory, "machine.json");

/** Reads what the last set-up found; throws when there was none in this checkout. */
export async function loadMachine(): Promise<Machine> {
  let text: string;
  try {
    text = await readFile(machineFile, "utf8");
  } catch (error) {
    throw new Error("the machine is not set up: run `npm test -- --only setup` once", { cause: error });
  }
  return Machine.parse(JSON.parse(text));
}
