import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import type { Kysely } from "kysely";
import { FilterFlowRuns, FilterFlows } from "../../src/prefect-api/filters.ts";
import type { Database } from "../../src/storage/database-types.ts";
import { FlowRunSearch } from "../../src/storage/flow-run-search.ts";
import { FlowRunStore } from "../../src/storage/flow-runs.ts";
import { FlowStore } from "../../src/storage/flows.ts";
import { migrate } from "../../src/storage/migrate.ts";
import { buildKysely } from "../../src/storage/sqlite.ts";
import { buildFlow, buildFlowRun, NOW } from "./build-rows.ts";

/** More than one statement looks at. */
const RUNS = 7000;
const clock = { now: () => new Date(NOW) };

/** Remembers what it was asked. */
class RecordingConnection extends DatabaseSync {
  readonly texts = new Set<string>();

  override prepare(text: string): StatementSync {
    this.texts.add(text);
    return super.prepare(text);
  }
}

interface Run {
  id: string;
  name: string;
  flow_id: string;
  deployment_id: string | null;
  state_type: string;
  state_name: string;
  tags: string;
  expected_start_time: string | null;
  start_time: string | null;
  end_time: string | null;
  next_scheduled_start_time: string | null;
}

const startOf = (run: Run) => run.start_time ?? run.expected_start_time;

/** Nulls are the smallest, and equal runs follow by id. */
function sorted(runs: readonly Run[], key: (run: Run) => string | null, direction: 1 | -1): Run[] {
  const compare = (one: string | null, other: string | null) => {
    if (one === other) {
      return 0;
    }
    return one === null || (other !== null && one < other) ? -direction : direction;
  };
  return runs.toSorted((one, other) => compare(key(one), key(other)) || compare(one.id, other.id));
}

/** All runs in each order: those that a filter matches are then in it too. */
const orders: Record<string, (runs: readonly Run[]) => Run[]> = {
  ID_DESC: (runs) => sorted(runs, ({ id }) => id, -1),
  START_TIME_ASC: (runs) => sorted(runs, startOf, 1),
  START_TIME_DESC: (runs) => sorted(runs, startOf, -1),
  EXPECTED_START_TIME_ASC: (runs) => sorted(runs, (run) => run.expected_start_time, 1),
  EXPECTED_START_TIME_DESC: (runs) => sorted(runs, (run) => run.expected_start_time, -1),
  NAME_ASC: (runs) => sorted(runs, ({ name }) => name, 1),
  NAME_DESC: (runs) => sorted(runs, ({ name }) => name, -1),
  NEXT_SCHEDULED_START_TIME_ASC: (runs) => sorted(runs, (run) => run.next_scheduled_start_time, 1),
  END_TIME_DESC: (runs) => sorted(runs, (run) => run.end_time, -1),
};

const MIDDLE = "2025-06-15T00:00:00.000000Z";
const ETL = "00000000-0000-4000-8000-0000000000f1";
const RARE = "00000000-0000-4000-8000-0000000000f2";
const UNUSED = "00000000-0000-4000-8000-0000000000f3";
const DEPLOYMENT = "00000000-0000-4000-8000-00000000000d";

const filters: { name: string; body: object; matches: (run: Run) => boolean }[] = [
  { name: "nothing", body: {}, matches: () => true },
  {
    name: "a state that most runs have",
    body: { flow_runs: { state: { type: { any_: ["COMPLETED"] } } } },
    matches: (run) => run.state_type === "COMPLETED",
  },
  {
    name: "a state that few runs have",
    body: { flow_runs: { state: { type: { any_: ["CRASHED"] } } } },
    matches: (run) => run.state_type === "CRASHED",
  },
  {
    name: "two states, one of them rare",
    body: { flow_runs: { state: { type: { any_: ["COMPLETED", "CRASHED"] } } } },
    matches: (run) => ["COMPLETED", "CRASHED"].includes(run.state_type),
  },
  {
    name: "the name of a state",
    body: { flow_runs: { state: { name: { any_: ["Late"] } } } },
    matches: (run) => run.state_name === "Late",
  },
  {
    name: "a deployment",
    body: { flow_runs: { deployment_id: { any_: [DEPLOYMENT] } } },
    matches: (run) => run.deployment_id === DEPLOYMENT,
  },
  {
    name: "a deployment and a state",
    body: { flow_runs: { deployment_id: { any_: [DEPLOYMENT] }, state: { type: { any_: ["FAILED"] } } } },
    matches: (run) => run.deployment_id === DEPLOYMENT && run.state_type === "FAILED",
  },
  {
    name: "the name of the flow",
    body: { flows: { name: { any_: ["etl"] } } },
    matches: (run) => run.flow_id === ETL,
  },
  {
    name: "the name of the flow, and all states but one",
    body: { flows: { name: { any_: ["etl"] } }, flow_runs: { state: { type: { not_any_: ["COMPLETED"] } } } },
    matches: (run) => run.flow_id === ETL && run.state_type !== "COMPLETED",
  },
  {
    name: "one of two names of states, and no deployment",
    body: { flow_runs: { state: { name: { any_: ["Completed", "Late"] } }, deployment_id: { is_null_: true } } },
    matches: (run) => ["Completed", "Late"].includes(run.state_name) && run.deployment_id === null,
  },
  {
    name: "a tag that half of the runs have",
    body: { flow_runs: { tags: { all_: ["half"] } } },
    matches: ({ tags }) => JSON.parse(tags).includes("half"),
  },
  {
    name: "one of two tags",
    body: { flow_runs: { tags: { any_: ["third", "nobody"] } } },
    matches: ({ tags }) => JSON.parse(tags).includes("third"),
  },
  { name: "no tags", body: { flow_runs: { tags: { is_null_: true } } }, matches: ({ tags }) => tags === "[]" },
  {
    name: "a part of the name",
    body: { flow_runs: { name: { like_: "RUN-77" } } },
    matches: ({ name }) => name.includes("run-77"),
  },
  {
    name: "a time of start",
    body: { flow_runs: { start_time: { after_: MIDDLE } } },
    matches: (run) => (startOf(run) ?? "") >= MIDDLE,
  },
  {
    name: "an end, and a state",
    body: { flow_runs: { end_time: { before_: MIDDLE }, state: { type: { any_: ["COMPLETED"] } } } },
    matches: (run) => run.end_time !== null && run.end_time <= MIDDLE && run.state_type === "COMPLETED",
  },
  {
    name: "no start",
    body: { flow_runs: { start_time: { is_null_: true } } },
    matches: (run) => run.start_time === null,
  },
  {
    name: "one thing or another",
    body: { flow_runs: { operator: "or_", state: { type: { any_: ["CRASHED"] } }, name: { like_: "run-77" } } },
    matches: (run) => run.state_type === "CRASHED" || run.name.includes("run-77"),
  },
];

describe("a search of more runs than one statement looks at", () => {
  let folder: string;
  let connection: RecordingConnection;
  let db: Kysely<Database>;
  let search: FlowRunSearch;
  let flows: FlowStore;
  let all: Run[];
  let inOrder: Map<string, Run[]>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-search-"));
    connection = new RecordingConnection(join(folder, "plane.sqlite"));
    db = buildKysely(connection);
    await migrate(db);
    flows = new FlowStore(db, clock);
    await fill();
    search = new FlowRunSearch(db);
    all = (await db.selectFrom("flow_runs").selectAll().execute()).map((row) => ({
      ...row,
      state_type: row.state_type ?? "",
      state_name: row.state_name ?? "",
    }));
    inOrder = new Map(Object.entries(orders).map(([sort, order]) => [sort, order(all)]));
  });

  after(async () => {
    await db.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  /** One run, then many like it: each a minute later than the one before, some without the times that others have. */
  async function fill(): Promise<void> {
    for (const [id, name] of [
      [ETL, "etl"],
      [RARE, "rare"],
      [UNUSED, "unused"],
    ] as const) {
      await flows.insert(buildFlow({ id, name }));
    }
    await new FlowRunStore(db, clock).insert(buildFlowRun(ETL, { id: randomUUID(), name: "run-0" }));
    const [row] = await db.selectFrom("flow_runs").selectAll().execute();
    assert.ok(row);
    const at = (index: number, late: number) =>
      new Date(Date.UTC(2025, 5, 1) + (index + late) * 60_000).toISOString().replace("Z", "000Z");
    connection.exec("begin");
    for (let index = 1; index < RUNS; index += 1) {
      const [type = "", name = ""] = index % 97 === 0 ? ["CRASHED", "Crashed"] : stateOf(index);
      const waits = type === "SCHEDULED";
      const ended = !waits && type !== "RUNNING";
      const tags = [...(index % 2 === 0 ? ["half"] : []), ...(index % 3 === 0 ? ["third"] : [])];
      const columns = {
        ...row,
        id: randomUUID(),
        flow_id: index % 900 === 5 ? RARE : ETL,
        name: `run-${(index * 7919) % RUNS}`,
        deployment_id: index % 5 === 0 ? DEPLOYMENT : null,
        tags: JSON.stringify(tags),
        state_type: type,
        state_name: name,
        expected_start_time: index % 101 === 0 && !waits ? null : at(index, 0),
        start_time: waits ? null : at(index, index % 7),
        end_time: ended ? at(index, 10 + (index % 11)) : null,
        next_scheduled_start_time: waits ? at(index, 0) : null,
      };
      const names = Object.keys(columns);
      connection
        .prepare(`insert into flow_runs (${names.join()}) values (${names.map(() => "?").join()})`)
        .run(...Object.values(columns));
    }
    connection.exec("commit");
  }

  function stateOf(index: number): string[] {
    if (index % 11 === 0) {
      return ["SCHEDULED", index % 2 === 0 ? "Late" : "Scheduled"];
    }
    return index % 13 === 0 ? ["FAILED", "Failed"] : ["COMPLETED", "Completed"];
  }

  for (const { name, body, matches } of filters) {
    test(`finds the same runs as looking at each: ${name}`, async () => {
      for (const [sort, runs] of inOrder) {
        const expected = runs.filter(matches).map(({ id }) => id);
        const parsed = FilterFlowRuns.parse({ ...body, sort });
        for (const offset of [0, Math.max(0, expected.length - 50)]) {
          const found = await search.listIds(parsed, { sort: parsed.sort, limit: 200, offset });

          assert.deepEqual(found, expected.slice(offset, offset + 200), `${sort} from ${offset}`);
        }
      }
      assert.equal(await search.count(FilterFlowRuns.parse(body)), all.filter(matches).length);
    });

    test(`finds the same flows as looking at each of their runs: ${name}`, async () => {
      const { flows: named, flow_runs } = FilterFlows.parse(body);
      const expected = [ETL, RARE, ...(flow_runs ? [] : [UNUSED])].filter(
        (id) => !flow_runs || all.some((run) => run.flow_id === id && matches(run)),
      );
      const asked = { flow_runs: flow_runs ?? null, ...(named && { flows: named }) };
      const listed = named ? expected.filter((id) => id === ETL) : expected;
      const found = await flows.list(asked, { sort: "NAME_ASC", limit: 10, offset: 0 });

      assert.deepEqual(
        found.map(({ id }) => id),
        listed,
      );
      assert.equal(await flows.count(asked), listed.length);
      assert.deepEqual(
        (await flows.list(asked, { sort: "NAME_ASC", limit: 1, offset: 1 })).map(({ id }) => id),
        listed.slice(1, 2),
      );
    });
  }

  test("no statement reads the table without an index", () => {
    const asked = [...connection.texts].filter(
      (text) => /from flow_runs|flow_runs as r/.test(text) && !text.startsWith("explain"),
    );
    assert.ok(asked.length > 100, `${asked.length} statements`);
    for (const text of asked) {
      // Their texts are read whole when the test prepares its expectations.
      if (text === 'select * from "flow_runs"') {
        continue;
      }
      const plan = connection
        .prepare(`explain query plan ${text}`)
        .all()
        .map(({ detail }) => String(detail));

      const scans = plan.filter((step) => /^SCAN (r|flow_runs|o)$/.test(step)).length;
      // What comes out of a select inside is scanned too, under the same name.
      const inner = plan.filter((step) => /^(CO-ROUTINE|MATERIALIZE|RECURSIVE STEP)( r)?$/.test(step)).length;
      assert.ok(scans <= inner, `${text}\n${plan.join("\n")}`);
    }
  });
});
