import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decideEngine } from "../../../worker/jobs/engine.ts";
import { exampleJob } from "./job-examples.ts";

const GIT = { "prefect.deployments.steps.git_clone": { repository: "https://example.com/x" } };
const PIP = { "prefect.deployments.steps.pip_install_requirements": { directory: "." } };
const S3 = { "prefect_aws.deployments.steps.pull_from_s3": { bucket: "x" } };

describe("which engine runs a flow", () => {
  const cases: [string, Partial<Parameters<typeof decideEngine>[0]>, "direct" | "runner"][] = [
    ["nothing is said", {}, "direct"],
    ["the code is fetched", { pullSteps: [GIT, S3] }, "direct"],
    ["a step installs packages", { pullSteps: [GIT, PIP] }, "runner"],
    [
      "a step requires a package",
      { pullSteps: [{ ...S3, "prefect.deployments.steps.git_clone": { requires: "x" } }] },
      "runner",
    ],
    ["a step is the user's own", { pullSteps: [{ "my.steps.prepare": {} }] }, "runner"],
    ["the job has a command", { command: "prefect flow-run execute" }, "runner"],
    ["the job has a command and wants it direct", { command: "x", choice: "direct" }, "runner"],
    ["it is forced", { choice: "runner" }, "runner"],
    ["it is forced against the steps", { choice: "direct", pullSteps: [PIP] }, "direct"],
    ["the runner is to install dependencies", { env: { PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES: "true" } }, "runner"],
    [
      "the runner is to reschedule at SIGTERM",
      { env: { PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR: "reschedule" } },
      "runner",
    ],
  ];
  for (const [name, job, expected] of cases) {
    test(`${name}: ${expected}`, () => {
      assert.equal(decideEngine({ choice: "auto", command: undefined, pullSteps: [], env: {}, ...job }), expected);
    });
  }
});

test("the container says which engine it has and how long a cancellation may take", () => {
  const { facts } = exampleJob({}, { own: { engine: "runner", cancel_grace_seconds: "5" } });

  assert.equal(facts.engine, "runner");
  assert.equal(facts.cancel_grace_seconds, "5");
  assert.throws(() => exampleJob({}, { own: { engine: "fast" } }), {
    code: "JOB_INVALID",
    message: /"engine" is "fast"/,
  });
});
