import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, escapeLiteral } from "pg";
import { FilterFlowRuns } from "../../src/prefect-api/filters.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { FlowRunSearch } from "../../src/storage/flow-run-search.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { buildPostgresKysely, connect } from "../../src/storage/postgres.ts";
import { createBlankDatabase, type TestDatabase } from "../support/test-database.ts";
import { buildFlow, buildFlowRun } from "./build-rows.ts";

const RUNS = 30_000;
/** More than one stretch of a walk has, and far less than all runs. */
const FEW = 16_500;
const DEPLOYMENT = "00000000-0000-4000-8000-00000000000d";

interface PlanNode {
  "Node Type": string;
  "Relation Name"?: string;
  "Plan Rows": number;
  Plans?: PlanNode[];
}

const failed = { state: { type: { any_: ["FAILED"] } } };
const ofDeployment = { deployment_id: { any_: [DEPLOYMENT] } };
const questions: Record<string, object> = {
  everything: {},
  "a state": { flow_runs: failed },
  "two states by name": { flow_runs: { state: { name: { any_: ["Failed", "Crashed"] } } } },
  "all states but one": { flow_runs: { state: { type: { not_any_: ["SCHEDULED"] } } } },
  "a deployment": { flow_runs: ofDeployment },
  "a state of a deployment": { flow_runs: { ...ofDeployment, ...failed } },
  "a state of runs without a parent": { flow_runs: { ...failed, parent_task_run_id: { is_null_: true } } },
  "a state of a flow by name": { flow_runs: failed, flows: { name: { any_: ["etl"] } } },
  "a tag": { flow_runs: { tags: { all_: ["third"] } } },
  "a time and a state": { flow_runs: { start_time: { after_: "2025-06-10T00:00:00Z" }, ...failed } },
};

describe("PostgreSQL finds runs through an index", () => {
  let database: TestDatabase;
  let client: Client;
  const asked = new Map<string, readonly unknown[]>();
  let search: FlowRunSearch;

  before(async () => {
    database = await createBlankDatabase();
    const store = await openStore({ database: database.url, clock: systemClock });
    const flow = buildFlow({ name: "etl" });
    await store.transaction((tx) => tx.flows.insert(flow));
    await store.transaction((tx) => tx.flowRuns.insert(buildFlowRun(flow.id)));
    await store.close();
    client = await connect(database.url);
    await client.query(fillStatement);
    await client.query("analyze");
    // A table of this size may be read whole for good reasons; whether there is another way shows when that is dear.
    await client.query("set enable_seqscan = off");
    search = new FlowRunSearch(
      buildPostgresKysely((query) => {
        asked.set(query.sql, query.parameters);
        return client.query(query.sql, [...query.parameters]);
      }),
    );
  });

  after(async () => {
    await client.end();
    await database[Symbol.asyncDispose]();
  });

  for (const [name, body] of Object.entries(questions)) {
    test(`and sorts no more than a stretch: ${name}`, async () => {
      for (const sort of ["START_TIME_DESC", "EXPECTED_START_TIME_DESC", "NAME_ASC", "END_TIME_DESC", "ID_DESC"]) {
        asked.clear();
        const filters = FilterFlowRuns.parse({ ...body, sort });
        const found = await search.listIds(filters, { sort: filters.sort, limit: 200, offset: 0 });
        await search.count(filters);

        assert.ok(found.length > 0);
        for (const [text, parameters] of asked) {
          const nodes = listNodes(await explain(text, parameters));

          const scans = nodes.filter(
            ({ "Node Type": type, "Relation Name": of }) => type === "Seq Scan" && of === "flow_runs",
          );
          const sorts = nodes.filter((node) => node["Node Type"] === "Sort" && node["Plan Rows"] > FEW);
          assert.deepEqual([...scans, ...sorts], [], `${sort}: ${text}`);
        }
      }
    });
  }

  async function explain(text: string, parameters: readonly unknown[]): Promise<PlanNode> {
    const { rows } = await client.query<{ "QUERY PLAN": { Plan: PlanNode }[] }>(
      `explain (format json) ${withLiterals(text, parameters)}`,
    );
    const plan = rows[0]?.["QUERY PLAN"][0]?.Plan;
    assert.ok(plan);
    return plan;
  }
});

function withLiterals(text: string, parameters: readonly unknown[]): string {
  return text.replaceAll(/\$(\d+)/g, (_, number) => {
    const value = parameters[Number(number) - 1];
    return typeof value === "number" ? String(value) : escapeLiteral(String(value));
  });
}

function listNodes(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(listNodes)];
}

/** One run many times, each a minute later: most ended, one of ten waits for its time. */
const fillStatement = `
  insert into flow_runs (id, created, updated, name, flow_id, deployment_id, parameters, context, empirical_policy, tags,
    labels, job_variables, auto_scheduled, state_type, state_name, run_count, expected_start_time,
    next_scheduled_start_time, start_time, end_time, total_run_time)
  select gen_random_uuid()::text, created, updated, 'run-' || (n * 7919) % ${RUNS}, flow_id,
    case when n % 20 in (0, 1) then '${DEPLOYMENT}' end, parameters, context, empirical_policy,
    case when n % 3 = 0 then '["third"]' else '[]' end, labels, job_variables, 1,
    case when n % 10 = 0 then 'SCHEDULED' when n % 10 = 1 then 'FAILED' when n % 50 = 2 then 'CRASHED' else 'COMPLETED' end,
    case when n % 10 = 0 then 'Scheduled' when n % 10 = 1 then 'Failed' when n % 50 = 2 then 'Crashed' else 'Completed' end,
    1, at, case when n % 10 = 0 then at end, case when n % 10 <> 0 then at end, case when n % 10 <> 0 then at end, 1
  from flow_runs, generate_series(1, ${RUNS}) as n,
    lateral (select to_char(timestamp '2025-06-01' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS".000000Z"') as at) as t`;
