import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createPrefectClient, type PrefectClient } from "../../../src/client/prefect-client.ts";
import { silentLogger } from "../../../src/shared/logger.ts";
import type { StartedRun } from "../../../worker/infrastructure/contract.ts";
import { createLogSender } from "../../../worker/logs/log-sender.ts";
import { superviseRun } from "../../../worker/runs/supervise.ts";
import { type PlaneProcess, startPlane } from "../../support/plane-process.ts";

const AT = "2026-01-02T03:04:05.000000000Z";

describe("the lines of an engine that the relay still holds when its run has ended", () => {
  let plane: PlaneProcess;
  let client: PrefectClient;

  before(async () => {
    plane = await startPlane();
    client = createPrefectClient({ apiUrl: plane.apiUrl });
  });
  after(() => plane[Symbol.asyncDispose]());

  /** A run whose engine printed these lines, marked as sent by itself, and was killed. */
  function describeKilled(flow_run_id: string, lines: readonly string[]): StartedRun {
    const nothing = () => Promise.resolve();
    return {
      key: flow_run_id,
      pid: "engine",
      what: "container",
      facts: {
        flow_run_id,
        flow_run_name: "run",
        work_pool_id: "pool",
        work_pool_name: "pool",
        worker_name: "worker",
        worker_instance: "instance",
        worker_home: "home",
        attempt: "attempt",
      },
      streamOutput: false,
      removeAlways: true,
      async *readOutput() {
        for (const [index, line] of lines.entries()) {
          const text = `\u0001time | INFO    | Flow run 'run' - \u0002${line}\u0003`;
          yield { stream: "stdout" as const, text, at: AT, place: `${AT}#${index}` };
        }
      },
      waitForEnd: () => Promise.resolve({ kind: "exited", exitCode: 9, wasOutOfMemory: false }),
      askToCancel: nothing,
      stop: nothing,
      remove: nothing,
    };
  }

  test("are stored once, and those that the relay never got are taken from the output", async () => {
    const flow = await client.flows.create({ name: "etl" });
    const { value: run } = await client.flowRuns.create({ flow_id: flow.id, state: { type: "RUNNING" } });
    const message = "held";
    const held = { name: "prefect.flow_runs", level: 20, message, timestamp: AT, flow_run_id: run.id };
    let forwarding: Promise<void> | undefined;
    const relay = {
      keepLogs: () => Promise.resolve(false),
      untilSettled: () => {
        forwarding ??= client.logs.create([held]);
        return forwarding;
      },
    };

    await superviseRun(
      {
        client,
        logs: createLogSender(client, relay),
        settings: { logLimitBytes: 1_000_000, keepFailedSeconds: 0 },
        home: { findNote: async () => undefined, saveNote: async () => undefined, dropNote: async () => undefined },
        output: { write: () => undefined },
        logger: silentLogger,
        signal: new AbortController().signal,
      },
      describeKilled(run.id, ["held", "never sent"]),
      true,
    );
    await relay.untilSettled(); // it forwards what it holds whether it is asked or not

    const logs = await client.logs.list({ logs: { flow_run_id: { any_: [run.id] } } });
    const messages = logs.map((log) => log.message);
    assert.deepEqual(messages.toSorted(), ["held", "never sent"]);
  });
});
