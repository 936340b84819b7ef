import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { planChanges } from "../../src/flowyard-api/plan-changes.ts";
import { buildCandidate, buildLive, buildSchedule, id, SCOPE, want } from "./build-release.ts";

type Input = Parameters<typeof planChanges>[0];

function plan(deployments: ReturnType<typeof want>[], live: Input["live"], rest: Partial<Input> = {}) {
  const candidate = buildCandidate(deployments);
  return planChanges({ candidate, live, base: null, ...rest });
}

/** The fields of the only change. */
function listFields(planned: ReturnType<typeof plan>) {
  const [first] = planned.changes;
  return first !== undefined && "fields" in first.change ? first.change.fields : [];
}

function compare(wanted: Parameters<typeof want>[1], live: Parameters<typeof buildLive>[1]) {
  return listFields(plan([want("a", wanted)], [buildLive("a", live)])).map(({ field, before, after }) => [
    field,
    before,
    after,
  ]);
}

type Wanted = NonNullable<Parameters<typeof want>[1]>;
type Live = NonNullable<Parameters<typeof buildLive>[1]>;

describe("what is the same in other words", () => {
  const same: [string, Wanted, Live][] = [
    ["nothing said and nothing there", {}, {}],
    ["null and a default", { parameters: null, job_variables: null, pull_steps: null, version: null }, {}],
    ["no queue and the default one", { work_queue_name: null }, { work_queue_name: "default" }],
    [
      "a queue without a pool",
      { work_pool_name: null, work_queue_name: "q" },
      { work_pool_name: "default-agent-pool", work_queue_name: "q" },
    ],
    ["tags in another order", { tags: ["b", "a", "a"] }, { tags: ["a", "b"] }],
    ["keys in another order", { parameters: { a: 1, b: { c: 2, d: 3 } } }, { parameters: { b: { d: 3, c: 2 }, a: 1 } }],
    [
      "labels that the server adds",
      { labels: {} },
      { labels: { "prefect.flow.id": id(9), "flowyard.owner": "x", team: "a" } },
    ],
    [
      "an interval without anchor",
      { schedules: [{ schedule: { interval: 60 } }] },
      { schedules: [buildSchedule({ interval: 60, anchor_date: "2026-01-01T00:00:00Z", timezone: "UTC" })] },
    ],
    [
      "a rule with the start that the server adds",
      { schedules: [{ schedule: { rrule: "FREQ=DAILY" } }] },
      { schedules: [buildSchedule({ rrule: "DTSTART:20200101T000000\nFREQ=DAILY", timezone: "UTC" })] },
    ],
    [
      "no zone and UTC",
      { schedules: [{ schedule: { cron: "0  6 * * *" } }] },
      { schedules: [buildSchedule({ cron: "0 6 * * *", timezone: "UTC" })] },
    ],
    [
      "schedules in another order",
      { schedules: [{ schedule: { cron: "1 1 * * *" } }, { schedule: { cron: "2 2 * * *" } }] },
      {
        schedules: [
          buildSchedule({ cron: "2 2 * * *" }, { id: id(51) }),
          buildSchedule({ cron: "1 1 * * *" }, { id: id(52) }),
        ],
      },
    ],
  ];

  for (const [what, wanted, live] of same) {
    test(what, () => assert.deepEqual(compare(wanted, live), []));
  }
});

describe("every field that differs is named", () => {
  const different: [string, Wanted, Live, unknown[][]][] = [
    ["text", { version: "2" }, { version: "1" }, [["version", "1", "2"]]],
    ["what is not said any more", {}, { description: "old" }, [["description", "old", null]]],
    ["a flag", { enforce_parameter_schema: false }, {}, [["enforce_parameter_schema", true, false]]],
    [
      "parameters, by dotted path",
      { parameters: { same: 1, deep: { new: 1, changed: [1] } } },
      { parameters: { same: 1, gone: true, deep: { changed: [1, 2] } } },
      [
        ["parameters.gone", true, null],
        ["parameters.deep.changed", [1, 2], [1]],
        ["parameters.deep.new", null, 1],
      ],
    ],
    [
      "job variables, with secrets hidden",
      { job_variables: { env: { MODE: "fast" }, memory: "2g", apiKey: "b" } },
      { job_variables: { env: { MODE: "slow" }, memory: "1g", apiKey: "a" } },
      [
        ["job_variables.env.MODE", "********", "********"],
        ["job_variables.memory", "1g", "2g"],
        ["job_variables.apiKey", "********", "********"],
      ],
    ],
    ["an empty map", { job_variables: { env: {} } }, { job_variables: {} }, [["job_variables.env", null, {}]]],
    ["the pool", { work_pool_name: "other" }, {}, [["work_pool_name", "pool", "other"]]],
    ["a limit of its own", { concurrency_limit: 2 }, {}, [["concurrency_limit", null, 2]]],
    [
      "options of a limit",
      { concurrency_options: { collision_strategy: "CANCEL_NEW" } },
      { concurrency_options: { collision_strategy: "ENQUEUE" } },
      [["concurrency_options.collision_strategy", "ENQUEUE", "CANCEL_NEW"]],
    ],
    ["a label", { labels: { team: "b" } }, { labels: { team: "a" } }, [["labels.team", "a", "b"]]],
    ["a pause in so many words", { paused: false }, { paused: true }, [["paused", true, false]]],
  ];

  for (const [what, wanted, live, expected] of different) {
    test(what, () => assert.deepEqual(compare(wanted, live), expected));
  }

  test("an image is told as digest and content hash", () => {
    const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
    const image = (letter: string, tag: string) => ({
      name: "ghcr.io/acme/etl",
      tag,
      digest: digest(letter),
      content_hash: `${letter}-content`,
    });
    const at = (letter: string) => `ghcr.io/acme/etl@${digest(letter)}`;
    const base = buildCandidate([], { images: [image("a", "v1")] });
    const candidate = buildCandidate([want("x", { job_variables: { image: at("b") } })], {
      images: [image("b", "v2")],
    });

    const planned = planChanges({ candidate, base, live: [buildLive("x", { job_variables: { image: at("a") } })] });

    assert.deepEqual(listFields(planned)[0]?.images, { before: image("a", "v1"), after: image("b", "v2") });
  });

  test("schedules are told with the next fire times of the active ones", () => {
    const schedules = [{ schedule: { cron: "1 1 * * *" } }, { schedule: { cron: "2 2 * * *" }, active: false }];

    const planned = plan(
      [want("a", { schedules })],
      [buildLive("a", { schedules: [buildSchedule({ cron: "3 3 * * *" })] })],
      {
        listFireTimes: (schedule) => ("cron" in schedule ? [`at ${schedule.cron}`] : []),
      },
    );

    const [field] = listFields(planned);
    assert.equal(field?.field, "schedules");
    assert.deepEqual(field?.next_fires, { before: ["at 3 3 * * *"], after: ["at 1 1 * * *"] });
  });

  test("automations that a server does not tell are not compared", () => {
    const triggers = [{ name: "t", trigger: {}, actions: [] }];

    const { changes } = plan([want("a", {}, { triggers })], [buildLive("a", {}, { triggers: null })]);

    assert.equal(changes[0]?.change.action, "unchanged");
  });
});

describe("the hash", () => {
  const hash = (wanted: Parameters<typeof want>[1], live: Input["live"] = [], rest: Partial<Input> = {}) =>
    plan([want("a", wanted)], live, rest).plan_hash;

  test("names the effect over real values, hidden ones too", () => {
    const secret = (value: string) => hash({ job_variables: { password: value } });

    assert.notEqual(secret("one"), secret("two"));
    assert.equal(secret("one"), secret("one"));
  });

  test("does not depend on commit, time, order of keys or deployments, nor on what stays", () => {
    const first = planChanges({
      candidate: buildCandidate([want("a", { parameters: { x: 1, y: 2 } }), want("b"), want("same")]),
      live: [buildLive("same")],
      base: null,
    });
    const second = planChanges({
      candidate: buildCandidate([want("b"), want("a", { parameters: { y: 2, x: 1 } })], {
        source: { event: "cli", commit_sha: "abcdef1" },
      }),
      live: [],
      base: null,
      listFireTimes: () => ["2026-01-01T00:00:00.000000Z"],
    });

    assert.equal(first.plan_hash, second.plan_hash);
  });

  test("depends on what is there before, on the scope and on what is pruned", () => {
    const candidate = (scope: typeof SCOPE) => buildCandidate([want("a", { version: "2" })], { scope });
    const hashes = [
      hash({ version: "2" }),
      hash({ version: "2" }, [buildLive("a", { version: "1" })]),
      hash({ version: "2" }, [buildLive("a", { version: "0" })]),
      hash({ version: "2" }, [buildLive("b")]),
      planChanges({ candidate: candidate({ ...SCOPE, environment: "staging" }), live: [], base: null }).plan_hash,
    ];

    assert.equal(new Set(hashes).size, hashes.length);
  });
});

describe("renaming", () => {
  const names = (live: string[]) => live.map((name, index) => buildLive(name, { id: id(index + 1) }));
  const actions = (deployments: ReturnType<typeof want>[], live: string[]) =>
    plan(deployments, names(live)).changes.map(({ change }) =>
      change.action === "rename" ? `${change.from} > ${change.deployment}` : `${change.action} ${change.deployment}`,
    );
  const replacing = (name: string, replaces: string) => want(name, {}, { replaces });

  for (const [what, deployments, live, expected] of [
    ["the old one is there", [replacing("b", "a")], ["a"], ["etl/a > etl/b"]],
    ["by its full name", [replacing("b", "etl/a")], ["a"], ["etl/a > etl/b"]],
    ["it was done before", [replacing("b", "a")], ["b"], ["unchanged etl/b"]],
    ["there is neither", [replacing("b", "a")], [], ["create etl/b"]],
    ["there are both: the old one is pruned", [replacing("b", "a")], ["a", "b"], ["unchanged etl/b", "pause etl/a"]],
    [
      "the release has the old one as well",
      [replacing("b", "a"), want("a")],
      ["a"],
      ["create etl/b", "unchanged etl/a"],
    ],
    ["a chain", [replacing("b", "a"), replacing("c", "b")], ["a", "b"], ["etl/a > etl/b", "etl/b > etl/c"]],
    [
      "a chain that was done",
      [replacing("b", "a"), replacing("c", "b")],
      ["b", "c"],
      ["unchanged etl/b", "unchanged etl/c"],
    ],
    [
      "an exchange is none: it would go on for ever",
      [replacing("b", "a"), replacing("a", "b")],
      ["a", "b"],
      ["unchanged etl/b", "unchanged etl/a"],
    ],
    [
      "two want the same one: the first has it",
      [replacing("b", "a"), replacing("c", "a")],
      ["a"],
      ["etl/a > etl/b", "create etl/c"],
    ],
    ["of itself", [replacing("a", "a")], ["a"], ["unchanged etl/a"]],
  ] as const) {
    test(what, () => assert.deepEqual(actions([...deployments], [...live]), expected));
  }

  test("of somebody else's is a conflict", () => {
    const { changes } = plan([replacing("b", "a")], [buildLive("a", {}, { owner: null })]);

    assert.deepEqual(
      changes.map(({ change }) => [change.action, change.deployment]),
      [["conflict", "etl/b"]],
    );
  });
});
