import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { LiveBus } from "../../src/orchestration/events/live-bus.ts";
import { isMapping } from "../../src/prefect-api/templating.ts";
import workerMetadata from "../../src/prefect-api/worker-metadata.json" with { type: "json" };
import { buildApp } from "../../src/server/app.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { openTestStore } from "../support/open-test-store.ts";

/** A request that changed something. */
export interface RecordedRequest {
  method: string;
  path: string;
  status: number;
  body: unknown;
}

/** What exists beforehand. */
export interface PlaneContents {
  /** Name to type. */
  work_pools?: Record<string, string>;
  variables?: Record<string, unknown>;
  /** Name to value. */
  secret_blocks?: Record<string, unknown>;
}

export interface RecordedPlane extends AsyncDisposable {
  client: PrefectClient;
  requests: RecordedRequest[];
  /** Answers the next change of this path with 503 for ever, as a plane that is going away. */
  refusePath(path: string): void;
}

/** A real plane behind a recorder: everything that a deploy changes is seen as it passes. */
export async function openRecordedPlane(contents: PlaneContents): Promise<RecordedPlane> {
  const opened = await openTestStore();
  const bus = new LiveBus();
  const app = await buildApp({ store: opened.store, clock: systemClock, bus, credentials: null, logLevel: "silent" });
  const plane = await app.listen({ host: "127.0.0.1", port: 0 });
  await fill(createPrefectClient({ apiUrl: `${plane}/api` }), `${plane}/api`, contents);

  const requests: RecordedRequest[] = [];
  const refused = new Set<string>();
  const recorder = createServer((request, response) => {
    const forward = async (): Promise<void> => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) {
        chunks.push(Buffer.from(chunk));
      }
      const { method = "GET", url = "/" } = request;
      const path = url.replace(/^\/api/, "");
      const text = Buffer.concat(chunks).toString("utf8");
      const body = text === "" ? {} : { body: text, headers: { "content-type": "application/json" } };
      const answer = refused.has(path)
        ? new Response(JSON.stringify({ detail: "Refused by the test" }), { status: 422 })
        : await fetch(`${plane}${url}`, { method, ...body });
      if (method !== "GET" && !path.endsWith("/filter")) {
        requests.push({ method, path, status: answer.status, body: text === "" ? null : JSON.parse(text) });
      }
      response.writeHead(answer.status, { "content-type": "application/json" });
      response.end(await answer.text());
    };
    forward().catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => recorder.listen(0, "127.0.0.1", resolve));
  const address = recorder.address();
  return {
    client: createPrefectClient({ apiUrl: `http://127.0.0.1:${isAddress(address) ? address.port : 0}/api` }),
    requests,
    refusePath: (path) => refused.add(path),
    async [Symbol.asyncDispose]() {
      recorder.closeAllConnections();
      await new Promise((resolve) => recorder.close(resolve));
      await app.close();
      await opened[Symbol.asyncDispose]();
    },
  };
}

async function fill(client: PrefectClient, apiUrl: string, contents: PlaneContents): Promise<void> {
  for (const [name, type] of Object.entries(contents.work_pools ?? {})) {
    await client.workPools.create({ name, type, base_job_template: findTemplate(type) });
  }
  for (const [name, value] of Object.entries(contents.variables ?? {})) {
    await client.variables.create({ name, value });
  }
  const blocks = Object.entries(contents.secret_blocks ?? {});
  if (blocks.length > 0) {
    const type = await post(apiUrl, "/block_types/", { name: "Secret", slug: "secret" });
    const fields = { type: "object", properties: { value: {} }, secret_fields: ["value"], title: "Secret" };
    const schema = await post(apiUrl, "/block_schemas/", { fields, block_type_id: type });
    for (const [name, value] of blocks) {
      await post(apiUrl, "/block_documents/", {
        name,
        data: { value },
        block_schema_id: schema,
        block_type_id: type,
      });
    }
  }
}

const Created = z.object({ id: z.string() });

/** The id of what was made. Our client reads blocks only, because nothing of ours makes them. */
async function post(apiUrl: string, path: string, body: unknown): Promise<string> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${apiUrl}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  return Created.parse(await response.json()).id;
}

const WorkerType = z.object({ default_base_job_configuration: z.record(z.string(), z.unknown()) });

function findTemplate(type: string): Record<string, unknown> {
  const packages: unknown[] = Object.values(workerMetadata);
  const found = packages.filter(isMapping).find((types) => type in types)?.[type];
  const parsed = WorkerType.safeParse(found);
  return parsed.success ? parsed.data.default_base_job_configuration : {};
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}
