import assert from "node:assert/strict";
import { Explanation } from "../../src/flowyard-api/explain.ts";
import type { TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";

/** The answer as clients parse it. */
export async function explain(plane: TestPlane, flowRunId: string): Promise<Explanation> {
  const { status, body } = await call(plane, "GET", `/flowyard/flow_runs/${flowRunId}/explain`);
  assert.equal(status, 200, JSON.stringify(body));
  const parsed = Explanation.parse(body);
  assert.deepEqual(parsed, body, "the answer has what its schema says, and nothing else");
  return parsed;
}

/** Reason codes, the decisive one first. */
export async function codes(plane: TestPlane, flowRunId: string): Promise<string[]> {
  const { reason_code, others } = await explain(plane, flowRunId);
  return [reason_code, ...others.map((other) => other.reason_code)];
}

export async function setState(plane: TestPlane, flowRunId: string, state: Record<string, unknown>, force = false) {
  const answer = await call(plane, "POST", `/flow_runs/${flowRunId}/set_state`, { state, force });
  assert.ok(answer.status < 300, JSON.stringify(answer.body));
  return answer.body;
}

/** A worker says that it is alive. */
export async function beat(plane: TestPlane, name: string, pool = "pool") {
  const { status } = await call(plane, "POST", `/work_pools/${pool}/workers/heartbeat`, {
    name,
    heartbeat_interval_seconds: 30,
  });
  assert.equal(status, 204);
}

/** Kinds of evidence, in their order. */
export function kinds(cause: { evidence: readonly { kind: string }[] }): string[] {
  return cause.evidence.map(({ kind }) => kind);
}
