import { get, NOBODY, patch, post, type Step } from "./step.ts";

const LATER = "2099-01-01T00:00:00Z";

/** A run of its own, and what is proposed to it one after the other. */
function sequence(
  name: string,
  create: Record<string, unknown>,
  proposals: [state: unknown, force?: boolean][],
): Step[] {
  const word = name.replaceAll(/\W/g, "_");
  return [
    post(`${name}: run`, "/flow_runs/", { flow_id: "$flow", name: word, ...create }, { keep: { [word]: "id" } }),
    ...proposals.map(([state, force], index) =>
      post(
        `${name}: proposal ${index + 1}`,
        `/flow_runs/$${word}/set_state`,
        force === undefined ? { state } : { state, force },
      ),
    ),
    get(`${name}: the run at the end`, `/flow_runs/$${word}`),
    get(`${name}: its states`, `/flow_run_states/?flow_run_id=$${word}`),
  ];
}

const scheduled = { state: { type: "SCHEDULED" } };
const transition = "11111111-1111-4111-8111-111111111111";

export const stateSteps: Step[] = [
  post("state of an unknown run", `/flow_runs/${NOBODY}/set_state`, { state: { type: "PENDING" } }),
  post("state of a run whose id is none", "/flow_runs/abc/set_state", { state: { type: "PENDING" } }),
  post("state of an unknown type", "/flow_runs/$r1/set_state", { state: { type: "X" } }),
  post("state in small letters", "/flow_runs/$r1/set_state", { state: { type: "pending" } }),
  post("no state", "/flow_runs/$r1/set_state", {}),
  post("state with an unknown key", "/flow_runs/$r1/set_state", { state: { type: "PENDING", nothing: 1 } }),
  post("state whose details have an unknown key", "/flow_runs/$r1/set_state", {
    state: { type: "PENDING", state_details: { nothing: 1 } },
  }),
  post("worker takes a run", "/flow_runs/$r1/set_state", { state: { type: "PENDING" } }),
  post("another worker takes it", "/flow_runs/$r1/set_state", { state: { type: "PENDING" } }),
  post("the worker submits it", "/flow_runs/$r1/set_state", { state: { type: "PENDING", name: "Submitting" } }),
  post("the engine runs it", "/flow_runs/$r1/set_state/", { state: { type: "RUNNING", name: "" } }),
  post("the engine ends it", "/flow_runs/$r1/set_state", {
    state: { type: "COMPLETED", message: "done", data: { a: 1 } },
  }),
  get("the run that ended", "/flow_runs/$r1"),
  post("a run that waits is cancelled", "/flow_runs/$r5/set_state", { state: { type: "CANCELLING" } }),
  get("the run that was cancelled", "/flow_runs/$r5"),
  ...sequence("too early", { state: { type: "SCHEDULED", state_details: { scheduled_time: LATER } } }, [
    [{ type: "RUNNING" }],
    [{ type: "PENDING" }],
    [{ type: "RUNNING" }],
    [{ type: "RUNNING" }, true],
  ]),
  ...sequence("sent twice", scheduled, [
    [{ type: "PENDING", state_details: { transition_id: transition } }],
    [{ type: "PENDING", state_details: { transition_id: transition } }],
    [{ type: "RUNNING" }],
    [{ type: "RUNNING" }],
  ]),
  ...sequence("retried", { ...scheduled, empirical_policy: { retries: 1, retry_delay: 0 } }, [
    [{ type: "PENDING" }],
    [{ type: "RUNNING" }],
    [{ type: "FAILED", message: "no" }],
    [{ type: "RUNNING", name: "Retrying" }],
    [{ type: "FAILED", message: "no" }],
  ]),
  ...sequence("after the end", scheduled, [
    [{ type: "RUNNING" }],
    [{ type: "COMPLETED" }],
    [{ type: "RUNNING" }],
    [{ type: "FAILED" }],
    [{ type: "CANCELLING" }],
    [{ type: "CRASHED" }],
    [{ type: "SCHEDULED" }],
    [{ type: "SCHEDULED" }, true],
  ]),
  ...sequence("with a result", scheduled, [
    [{ type: "RUNNING" }],
    [{ type: "COMPLETED", data: { storage_key: "k" } }],
    [{ type: "RUNNING" }],
    [{ type: "COMPLETED" }],
    [{ type: "COMPLETED" }, true],
  ]),
  ...sequence("cancelled while running", scheduled, [
    [{ type: "PENDING" }],
    [{ type: "RUNNING" }],
    [{ type: "CANCELLING" }],
    [{ type: "RUNNING" }],
    [{ type: "COMPLETED" }],
    [{ type: "CANCELLED" }],
    [{ type: "CANCELLED" }],
  ]),
  ...sequence("paused", scheduled, [
    [{ type: "PAUSED" }],
    [{ type: "RUNNING" }],
    [{ type: "PAUSED", state_details: { pause_timeout: LATER, pause_key: "p" } }],
    [{ type: "PENDING" }],
    [{ type: "RUNNING" }],
    [{ type: "PAUSED", state_details: { pause_timeout: LATER, pause_key: "p" } }],
    [{ type: "PAUSED", state_details: { pause_timeout: LATER, pause_reschedule: true } }],
  ]),
  ...sequence("late", scheduled, [
    [{ type: "SCHEDULED", name: "Late" }],
    [{ type: "PENDING" }],
    [{ type: "SCHEDULED", name: "Late" }],
  ]),
  ...sequence("crashed", scheduled, [[{ type: "CRASHED", message: "gone" }], [{ type: "PENDING" }]]),
  ...sequence("forced", scheduled, [
    [{ type: "CANCELLED", name: "Odd", message: "m" }, true],
    [{ type: "CANCELLED" }, true],
    [{ type: "PENDING" }, true],
    [{ type: "PENDING" }, true],
  ]),
  ...sequence("of a client that sends back a whole state", {}, [
    [{ id: NOBODY, timestamp: "2026-01-01T00:00:00Z", type: "RUNNING", name: null, message: null, data: null }],
    [{ type: "RUNNING", state_details: null }],
  ]),
  post("resume a run that does not pause", "/flow_runs/$fr/resume"),
  post("resume an unknown run", `/flow_runs/${NOBODY}/resume`),
  patch("one slot for a deployment", "/deployments/$d3", { concurrency_limit: 1 }),
  post("first run of a slot", "/deployments/$d3/create_flow_run", { name: "s1" }, { keep: { s1: "id" } }),
  post("second run of a slot", "/deployments/$d3/create_flow_run", { name: "s2" }, { keep: { s2: "id" } }),
  post("first run takes the slot", "/flow_runs/$s1/set_state", { state: { type: "PENDING" } }),
  post("second run must wait", "/flow_runs/$s2/set_state", { state: { type: "PENDING" } }),
  get("deployment of which the slot is taken", "/deployments/$d3"),
  post("first run ends", "/flow_runs/$s1/set_state", { state: { type: "CRASHED" } }),
  post("second run gets the slot", "/flow_runs/$s2/set_state", { state: { type: "PENDING" } }),
  patch("no slot for a deployment", "/deployments/$d3", { concurrency_limit: 0 }),
  post("third run of no slot", "/deployments/$d3/create_flow_run", { name: "s3" }, { keep: { s3: "id" } }),
  post("third run cannot start", "/flow_runs/$s3/set_state", { state: { type: "PENDING" } }),
];
