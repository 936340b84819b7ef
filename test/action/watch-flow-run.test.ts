import assert from "node:assert/strict";
import { test } from "node:test";
import { watchFlowRun } from "../../src/action/watch-flow-run.ts";
import { createDeployment, startTestPlane } from "../cli/test-plane.ts";

test("a run that nobody takes says in the log why, once", async () => {
  await using plane = await startTestPlane();
  const { client } = plane;
  const { value: run } = await client.deployments.createFlowRun((await createDeployment(client)).id, {});
  const lines: string[] = [];

  await watchFlowRun({
    client,
    flowRunId: run.id,
    signal: AbortSignal.timeout(17_000),
    print: (line) => void lines.push(line),
  });

  const waiting = lines.filter((line) => line.includes(" | WAITING  | "));
  assert.equal(waiting.length, 1);
  assert.match(waiting[0] ?? "", /NO_WORKER: Work pool "pool" .* Start one: flowyard worker start --pool pool$/);
});
