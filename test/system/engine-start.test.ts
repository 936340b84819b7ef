import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { z } from "zod";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { buildDirectCommand } from "../../worker/jobs/engine.ts";
import { TestProcess } from "../support/child-process.ts";
import { plainEnvironment, startPlane } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const machine = await loadMachine();
const PYTHON_MS = 120_000;
const Created = z.object({ id: z.string() });
const Run = z.object({ state_type: z.string() });

describe("an engine that the worker runs directly", () => {
  for (const [version, part] of [
    ["3.9.1", machine.prefect],
    ["3.8.8", machine.oldestPrefect],
  ] as const) {
    test(`waits for a relay that is away when it starts (Prefect ${version})`, {
      skip: part.available ? false : part.reason,
    }, async () => {
      assert.ok(part.available);
      await using plane = await startPlane();
      const post = async (path: string, body: unknown) => {
        const headers = { "content-type": "application/json" };
        const answer = await fetch(`${plane.apiUrl}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
        return Created.parse(await answer.json());
      };
      await writeFile(
        join(plane.folder, "short.py"),
        "from prefect import flow\n\n\n@flow\ndef short():\n    return None\n",
      );
      const flow = await post("/flows/", { name: "short" });
      const deployment = await post("/deployments/", {
        name: "short",
        flow_id: flow.id,
        path: plane.folder,
        entrypoint: "short.py:short",
      });
      const run = await post(`/deployments/${deployment.id}/create_flow_run`, {});
      await plane.kill();

      const [program = "", ...args] = buildDirectCommand(join(dirname(part.prefect), "python"));
      const engine = new TestProcess(program, args, {
        cwd: plane.folder,
        env: plainEnvironment(plane.folder, {
          PREFECT_HOME: join(plane.folder, "prefect"),
          PREFECT_API_URL: plane.apiUrl,
          PREFECT_API_AUTH_STRING: "run:of the relay",
          PREFECT_LOGGING_LEVEL: "DEBUG",
          PREFECT__FLOW_RUN_ID: run.id,
        }),
      });
      await waitUntil(async () => engine.output.includes("Another attempt will be made"), {
        timeoutMs: PYTHON_MS,
        what: "a second attempt",
        evidence: () => engine.output,
      });
      await plane.start();
      const { code } = await engine.finish(PYTHON_MS);

      const answer = await fetch(`${plane.apiUrl}/flow_runs/${run.id}`);
      assert.equal(Run.parse(await answer.json()).state_type, "COMPLETED", engine.output);
      assert.equal(code, 0);
    });
  }
});
