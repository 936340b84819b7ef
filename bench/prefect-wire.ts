import { z } from "zod";
import { type Answer, LoadClient, type LoadResult, runLoad } from "./load.ts";

const Created = z.object({ id: z.string() });

/** The same requests against any server that speaks Prefect's wire. */
export class PrefectWireSubject {
  readonly #client: LoadClient;
  readonly #clients: number;
  #deploymentId = "";
  readonly #createdRuns: string[] = [];

  constructor(apiUrl: string, clients: number) {
    this.#client = new LoadClient(apiUrl, clients);
    this.#clients = clients;
  }

  async prepare(): Promise<void> {
    await this.#expect("POST", "/work_pools/", { name: "bench-pool", type: "process", base_job_template: {} });
    const flow = Created.parse(await this.#expect("POST", "/flows/", { name: "bench-flow" }));
    const deployment = Created.parse(
      await this.#expect("POST", "/deployments/", {
        name: "bench-deployment",
        flow_id: flow.id,
        work_pool_name: "bench-pool",
        parameter_openapi_schema: {
          title: "Parameters",
          type: "object",
          properties: { n: { type: "integer", default: 1, title: "n", position: 0 } },
        },
      }),
    );
    this.#deploymentId = deployment.id;
  }

  createFlowRuns(seconds: number): Promise<LoadResult> {
    return runLoad({ clients: this.#clients, seconds, operate: () => this.#createFlowRun() });
  }

  /** Creates until `count` runs exist in all, however long that takes. */
  async createUpTo(count: number): Promise<void> {
    const loop = async () => {
      while (this.#createdRuns.length < count) {
        await this.#createFlowRun();
      }
    };
    await Promise.all(Array.from({ length: this.#clients }, loop));
  }

  async #createFlowRun(): Promise<number> {
    const answer = await this.#client.send("POST", `/deployments/${this.#deploymentId}/create_flow_run`, {
      state: { type: "SCHEDULED", message: "Run from bench", state_details: {} },
      parameters: { n: this.#createdRuns.length },
      tags: ["bench"],
    });
    if (answer.status !== 201) {
      return isServerError(answer) ? 0 : Number.NaN;
    }
    this.#createdRuns.push(Created.parse(JSON.parse(answer.body)).id);
    return 1;
  }

  /** Takes created runs through PENDING, RUNNING and COMPLETED; a unit is one accepted transition. */
  transitionFlowRuns(seconds: number): Promise<LoadResult> {
    const steps = ["PENDING", "RUNNING", "COMPLETED"];
    const current = new Map<number, { id: string; step: number }>();
    return runLoad({
      clients: this.#clients,
      seconds,
      operate: async (client) => {
        const id = current.get(client)?.id ?? this.#createdRuns.pop();
        if (id === undefined) {
          return undefined;
        }
        const step = current.get(client)?.step ?? 0;
        const answer = await this.#client.send("POST", `/flow_runs/${id}/set_state`, {
          state: { type: steps[step], state_details: {} },
          force: false,
        });
        if (isServerError(answer)) {
          return 0;
        }
        if (step + 1 < steps.length) {
          current.set(client, { id, step: step + 1 });
        } else {
          current.delete(client);
        }
        return 1;
      },
    });
  }

  readScheduledFlowRuns(seconds: number): Promise<LoadResult> {
    return this.#read(seconds, "/work_pools/bench-pool/get_scheduled_flow_runs", { limit: 20 });
  }

  filterFlowRuns(seconds: number): Promise<LoadResult> {
    return this.#read(seconds, "/flow_runs/filter", { sort: "EXPECTED_START_TIME_DESC", limit: 20 });
  }

  close(): void {
    this.#client.close();
  }

  #read(seconds: number, path: string, body: unknown): Promise<LoadResult> {
    return runLoad({
      clients: this.#clients,
      seconds,
      operate: async () => ((await this.#client.send("POST", path, body)).status === 200 ? 1 : 0),
    });
  }

  async #expect(method: string, path: string, body: unknown): Promise<unknown> {
    const answer = await this.#client.send(method, path, body);
    if (answer.status >= 300) {
      throw new Error(`${method} ${path} answered ${answer.status}: ${answer.body}`);
    }
    return JSON.parse(answer.body);
  }
}

function isServerError(answer: Answer): boolean {
  return answer.status >= 500 || answer.status === 0;
}
