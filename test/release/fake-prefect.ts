import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { isMapping } from "../../src/prefect-api/templating.ts";
import workerMetadata from "../../src/prefect-api/worker-metadata.json" with { type: "json" };

/** A request that changed something. */
export interface RecordedRequest {
  method: string;
  path: string;
  status: number;
  body: unknown;
}

/** What exists beforehand. */
export interface FakeContents {
  /** Name to type. */
  work_pools: Record<string, string>;
  variables: Record<string, unknown>;
  secret_blocks: Record<string, unknown>;
}

type Row = Record<string, unknown>;
interface Answer {
  status: number;
  body?: unknown;
}

const NOW = "2026-01-01T00:00:00.000000Z";
const Text = z.string();

/**
 * Speaks as much of Prefect's API as a deploy uses, keeps what it is told, and records every change. It stands for stock
 * servers, which have blocks; our plane is met in the system tests.
 */
export class FakePrefect {
  readonly requests: RecordedRequest[] = [];
  readonly deployments: Row[] = [];
  readonly flows = new Map<string, string>();
  readonly #contents: FakeContents;
  /** A status to answer to the next POST /deployments/ with, as a server does that knows better. */
  refuseDeployment: string | undefined;

  constructor(contents: FakeContents) {
    this.#contents = contents;
  }

  async listen(): Promise<{ apiUrl: string; close(): Promise<void> }> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        response.writeHead(500).end(String(error));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    return {
      apiUrl: `http://127.0.0.1:${isAddress(address) ? address.port : 0}/api`,
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    };
  }

  /** A deployment as a GET by name shows it, less ids and times. */
  describe(row: Row): Row {
    const { id, flow_id, created, updated, labels, storage_document_id, infrastructure_document_id, ...rest } = row;
    const schedules = Array.isArray(row["schedules"]) ? row["schedules"].filter(isMapping) : [];
    const limit = row["global_concurrency_limit"];
    const { global_concurrency_limit, ...shown } = rest;
    return {
      ...shown,
      flow_name: this.flowName(flow_id),
      concurrency_limit: isMapping(limit) ? limit["limit"] : null,
      schedules: schedules.map(({ id: _id, created: _c, updated: _u, deployment_id, ...schedule }) => schedule),
    };
  }

  flowName(id: unknown): string | undefined {
    return [...this.flows].find(([, flowId]) => flowId === id)?.[0];
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(Buffer.from(chunk));
    }
    const text = Buffer.concat(chunks).toString("utf8");
    const body: unknown = text === "" ? null : JSON.parse(text);
    const method = request.method ?? "GET";
    const path = (request.url ?? "").replace(/^\/api/, "").replace(/\?.*$/, "");
    const answer = this.#route(method, path, isMapping(body) ? body : {});
    if (method !== "GET" && !path.endsWith("/filter")) {
      this.requests.push({ method, path, status: answer.status, body });
    }
    response.writeHead(answer.status, { "content-type": "application/json" });
    response.end(answer.body === undefined ? undefined : JSON.stringify(answer.body));
  }

  #route(method: string, path: string, body: Row): Answer {
    const parts = path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
    const [resource, second = "", third = "", fourth = ""] = parts;
    switch (`${method} ${resource}`) {
      case "POST work_pools":
        return path.endsWith("/workers/filter")
          ? { status: 200, body: [] }
          : { status: 200, body: Object.keys(this.#contents.work_pools).map((name) => this.#workPool(name)) };
      case "GET work_pools":
        return second in this.#contents.work_pools ? { status: 200, body: this.#workPool(second) } : missing();
      case "GET variables": {
        const variables = this.#contents.variables;
        const variable = {
          id: randomUUID(),
          created: NOW,
          updated: NOW,
          name: third,
          value: variables[third],
          tags: [],
        };
        return third in variables ? { status: 200, body: variable } : missing();
      }
      case "GET block_types":
        return this.#block(third, parts.at(-1) ?? "");
      case "POST flows":
        return this.#createFlow(Text.parse(body["name"]));
      case "GET deployments":
        return this.#findDeployment(third, fourth);
      case "POST deployments":
        return this.#createDeployment(body);
      case "PATCH deployments":
        return this.#updateDeployment(second, body);
      case "DELETE automations":
        return { status: 202 };
      case "POST automations":
        return { status: 201, body: { id: randomUUID(), created: NOW, updated: NOW, ...body } };
      default:
        return missing();
    }
  }

  #workPool(name: string): Row {
    const type = this.#contents.work_pools[name] ?? "process";
    return {
      id: randomUUID(),
      created: NOW,
      updated: NOW,
      name,
      description: null,
      type,
      base_job_template: findTemplate(type),
      is_paused: false,
      concurrency_limit: null,
      status: "NOT_READY",
      default_queue_id: randomUUID(),
      storage_configuration: {},
    };
  }

  #block(slug: string, name: string): Answer {
    const blocks = this.#contents.secret_blocks;
    return slug === "secret" && name in blocks
      ? { status: 200, body: { id: randomUUID(), name, data: { value: blocks[name] } } }
      : missing();
  }

  #createFlow(name: string): Answer {
    const known = this.flows.get(name);
    const id = known ?? randomUUID();
    this.flows.set(name, id);
    const body = { id, created: NOW, updated: NOW, name, tags: [], labels: {} };
    return { status: known === undefined ? 201 : 200, body };
  }

  #findDeployment(flow: string, name: string): Answer {
    const found = this.deployments.find((row) => row["name"] === name && row["flow_id"] === this.flows.get(flow));
    return found === undefined ? missing() : { status: 200, body: found };
  }

  #createDeployment(body: Row): Answer {
    if (this.refuseDeployment !== undefined) {
      return { status: 422, body: { detail: this.refuseDeployment } };
    }
    const row: Row = { id: randomUUID(), created: NOW, updated: NOW };
    this.#apply(row, body);
    row["schedules"] = addSchedules(listMappings(body["schedules"]), row);
    this.deployments.push(row);
    return { status: 201, body: row };
  }

  #updateDeployment(id: string, body: Row): Answer {
    const row = this.deployments.find((each) => each["id"] === id);
    if (row === undefined) {
      return missing();
    }
    this.#apply(row, body);
    if ("schedules" in body) {
      const given = listMappings(body["schedules"]);
      const replaced = new Set(given.flatMap((schedule) => [schedule["slug"], schedule["replaces"]]));
      const kept = listMappings(row["schedules"]).filter((schedule) => !replaced.has(schedule["slug"]));
      const merges = [...given, ...kept].every((schedule) => schedule["slug"]);
      row["schedules"] = [...(merges ? kept : []), ...addSchedules(given, row)];
    }
    return { status: 204 };
  }

  #apply(row: Row, body: Row): void {
    const { schedules, concurrency_limit, version_info, ...rest } = body;
    Object.assign(row, rest);
    row["work_queue_name"] ??= "default";
    if (isMapping(row["concurrency_options"])) {
      row["concurrency_options"] = { grace_period_seconds: null, ...row["concurrency_options"] };
    }
    if (concurrency_limit !== undefined) {
      row["global_concurrency_limit"] = concurrency_limit === null ? null : buildLimit(row, concurrency_limit);
    }
  }
}

function buildLimit(row: Row, limit: unknown): Row {
  const name = `deployment:${String(row["id"])}`;
  const slots = { active_slots: 0, slot_decay_per_second: 0 };
  return { id: randomUUID(), created: NOW, updated: NOW, active: true, name, limit, ...slots };
}

function addSchedules(given: readonly Row[], row: Row): Row[] {
  return given.map(({ replaces: _, ...schedule }) => ({
    id: randomUUID(),
    created: NOW,
    updated: NOW,
    deployment_id: row["id"],
    active: true,
    max_scheduled_runs: null,
    parameters: {},
    slug: null,
    ...schedule,
    schedule: isMapping(schedule["schedule"]) ? addScheduleDefaults(schedule["schedule"]) : {},
  }));
}

function addScheduleDefaults(schedule: Row): Row {
  return "cron" in schedule ? { timezone: null, day_or: true, ...schedule } : { timezone: "UTC", ...schedule };
}

function listMappings(value: unknown): Row[] {
  return Array.isArray(value) ? value.filter(isMapping) : [];
}

function missing(): Answer {
  return { status: 404, body: { detail: "Not found" } };
}

const WorkerType = z.object({ default_base_job_configuration: z.record(z.string(), z.unknown()) });

function findTemplate(type: string): unknown {
  const types: unknown[] = Object.values(workerMetadata);
  const found = types.filter(isMapping).find((packageTypes) => type in packageTypes)?.[type];
  const parsed = WorkerType.safeParse(found);
  return parsed.success ? parsed.data.default_base_job_configuration : {};
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}
