import type { Expected } from "./fixture-case.ts";

/** Where we do not do what Prefect 3.9.1 did: what we do instead, and why. Reviewed one by one. */
export interface Difference {
  reason: string;
  /** Changes what the recorded case expects. */
  change(expected: Expected): Expected;
}

/** The recorded error came from the server, after the flow (and perhaps other deployments) had been registered. */
function registersNothing(reason: string): Difference {
  return {
    reason: `${reason} Found before anything is registered, so nothing is left half done.`,
    change: (expected) => ({ ...expected, requests: [], deployments: [] }),
  };
}

function changeTags(tags: string[]): Difference {
  return {
    reason: "A text under tags is one tag, with a notice; Prefect makes a tag of each letter.",
    change: (expected) => ({
      ...expected,
      requests: expected.requests.map((request) =>
        request.path === "/deployments/" ? { ...request, body: { ...request.body, tags } } : request,
      ),
      deployments: expected.deployments.map((deployment) => ({ ...deployment, tags })),
    }),
  };
}

export const REVIEWED_DIFFERENCES: Readonly<Record<string, Difference>> = {
  "bad-job-variable-type": registersNothing("A job variable that does not fit the pool."),
  "bad-parameter-type": registersNothing("A parameter that does not fit the flow's schema."),
  "concurrency-negative": registersNothing("A concurrency limit below 1."),
  "concurrency-zero": registersNothing("A concurrency limit below 1."),
  "flags-without-file": registersNothing("A job variable of a flag that does not fit the pool."),
  "multi-stops-at-first-error": registersNothing("The second of three deployments names no existing pool."),
  "name-forms": registersNothing("A name with a character that no name may have."),
  "schedules-duplicate-slug": registersNothing("Two schedules with one slug."),
  "sla-on-own-server": registersNothing("Service levels exist on Prefect Cloud only."),
  "trigger-metric": registersNothing("Metric triggers are refused by the open-source server."),
  "tags-string": changeTags(["solo"]),
  "tags-template": changeTags(["a,b"]),
  "select-glob-both": {
    reason: "A pattern that matches two deployments of one name deploys each once; Prefect deploys both twice.",
    change: (expected) => {
      const first = expected.requests.filter((request) => request.method !== "PATCH");
      const deployments = expected.deployments.map((deployment) =>
        deployment["description"] === null ? { ...deployment, description: "None" } : deployment,
      );
      return { ...expected, requests: first, deployments };
    },
  },
};
