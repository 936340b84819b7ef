import { type Kysely, type RawBuilder, type SqlBool, sql } from "kysely";
import type {
  DeploymentFilter,
  FlowFilter,
  FlowRunFilter,
  TaskRunFilter,
  WorkPoolFilter,
  WorkQueueFilter,
} from "../prefect-api/filters.ts";
import { anyOf, type Condition, combine } from "./conditions.ts";
import type { Database } from "./database-types.ts";
import { matchDeployment, matchFlow, matchTaskRun, matchWorkPool, matchWorkQueue } from "./filters.ts";
import { BY_DEPLOYMENT, BY_FLOW, listFlowRunParts, matchFlowRun } from "./flow-run-filter.ts";
import { type Lookup, listValues, type Part } from "./walk-plan.ts";

/** What one request may ask of objects and of those that belong to them. */
export interface CrossFilters {
  flows?: FlowFilter;
  flow_runs?: FlowRunFilter;
  task_runs?: TaskRunFilter;
  deployments?: DeploymentFilter;
  work_pools?: WorkPoolFilter;
  work_pool_queues?: WorkQueueFilter;
}

/** Owners of runs that are looked up beforehand; where a filter finds more, each run is asked for its own. */
const MAX_OWNERS = 100;

const POOL_OF_QUEUE = "join work_pools p on p.id = q.work_pool_id";

/** One object that is all of it; of no conditions, nothing is asked. */
function exists(select: RawBuilder<unknown>, conditions: (Condition | undefined)[]): Condition | undefined {
  const present = conditions.filter((condition) => condition !== undefined);
  return present.length === 0 ? undefined : sql<SqlBool>`exists (${select} and ${combine("and_", present)})`;
}

/** All filters of one request as one condition on flow runs `r`. */
export function crossMatchFlowRuns(filters: CrossFilters): Condition {
  return combine("and_", [matchFlowRun(filters.flow_runs), ...matchOwners(filters).map(({ condition }) => condition)]);
}

interface Owner {
  condition: Condition;
  /** The column of the run that names the owner. */
  column: string;
  index: Pick<Lookup, "keys" | "covers">;
  ids: RawBuilder<{ id: string }>;
}

/** What is asked of the flow, deployment and queue of a run. */
function matchOwners(filters: CrossFilters): Owner[] {
  const flow = matchFlow(filters.flows);
  const deployment = matchDeployment(filters.deployments);
  const queue = [matchWorkPool(filters.work_pools), matchWorkQueue(filters.work_pool_queues)];
  const owner = (from: string, by: Pick<Owner, "column" | "index">, conditions: (Condition | undefined)[]): Owner[] => {
    const [alias] = from.split(" ").slice(1);
    const id = sql.raw(`${alias}.id`);
    const condition = exists(sql`select 1 from ${sql.raw(from)} where ${id} = ${sql.raw(by.column)}`, conditions);
    return condition === undefined
      ? []
      : [
          {
            condition,
            ...by,
            ids: sql`select ${id} as id from ${sql.raw(from)} where ${combine("and_", conditions)}`,
          },
        ];
  };
  return [
    ...owner("flows f", { column: "r.flow_id", index: BY_FLOW }, [flow]),
    ...owner("deployments d", { column: "r.deployment_id", index: BY_DEPLOYMENT }, [deployment]),
    ...owner(`work_queues q ${POOL_OF_QUEUE}`, { column: "r.work_queue_id", index: {} }, queue),
  ];
}

/**
 * What a request asks of flow runs, part by part. Owners are looked up first: flows, deployments and queues are few,
 * and their runs are found through an index. Answers undefined when there can be none.
 */
export async function listRunParts(db: Kysely<Database>, filters: CrossFilters): Promise<Part[] | undefined> {
  const parts = listFlowRunParts(filters.flow_runs);
  for (const { condition, column, index, ids } of matchOwners(filters)) {
    const { rows } = await sql<{ id: string }>`${ids} limit ${MAX_OWNERS + 1}`.execute(db);
    if (rows.length === 0) {
      return undefined;
    }
    const found = rows.map(({ id }) => id);
    const [listed] = anyOf(column, found);
    parts.push(
      listed === undefined || rows.length > MAX_OWNERS
        ? { condition }
        : { condition: listed, lookup: listValues(column, found, index) },
    );
  }
  const taskRun = exists(sql`select 1 from task_runs t where t.flow_run_id = r.id`, [matchTaskRun(filters.task_runs)]);
  return taskRun === undefined ? parts : [...parts, { condition: taskRun }];
}

/** What a request asks of task runs `t`, part by part. */
export function listTaskRunParts(filters: CrossFilters): Part[] {
  const { task_runs: taskRuns, ...others } = filters;
  const own = matchTaskRun(taskRuns);
  const throughRun = Object.values(others).some((filter) => filter !== null && filter !== undefined);
  const plain = taskRuns?.operator === "and_";
  const isOfFew =
    plain && Boolean(taskRuns.id?.any_ ?? (taskRuns.flow_run_id?.is_null_ !== true && taskRuns.flow_run_id?.any_));
  return [
    ...(own === undefined ? [] : [{ condition: own, ...(isOfFew && { lookup: { few: true } }) }]),
    ...(throughRun
      ? [
          {
            condition: sql<SqlBool>`exists (select 1 from flow_runs r where r.id = t.flow_run_id and ${crossMatchFlowRuns(others)})`,
          },
        ]
      : []),
  ];
}

/** All filters of one request but those of runs, as one condition on flows `f`. */
export function crossMatchFlows(filters: CrossFilters): Condition {
  const queue = exists(sql`select 1 from work_queues q ${sql.raw(POOL_OF_QUEUE)} where q.id = d.work_queue_id`, [
    matchWorkPool(filters.work_pools),
    matchWorkQueue(filters.work_pool_queues),
  ]);
  return combine("and_", [
    matchFlow(filters.flows),
    exists(sql`select 1 from deployments d where d.flow_id = f.id`, [matchDeployment(filters.deployments), queue]),
  ]);
}

/** The same as one condition on deployments `d`. */
export function crossMatchDeployments(filters: CrossFilters): Condition {
  return combine("and_", [
    matchDeployment(filters.deployments),
    exists(sql`select 1 from flows f where f.id = d.flow_id`, [matchFlow(filters.flows)]),
    exists(sql`select 1 from work_queues q ${sql.raw(POOL_OF_QUEUE)} where q.id = d.work_queue_id`, [
      matchWorkPool(filters.work_pools),
      matchWorkQueue(filters.work_pool_queues),
    ]),
  ]);
}

/** What is asked of a run that a flow or deployment is to have; undefined where nothing is. */
export function findRunFilters({
  flow_runs,
  task_runs,
}: CrossFilters): Pick<CrossFilters, "flow_runs" | "task_runs"> | undefined {
  const isAsked = [flow_runs, task_runs].some((filter) => filter !== null && filter !== undefined);
  return isAsked ? { ...(flow_runs && { flow_runs }), ...(task_runs && { task_runs }) } : undefined;
}
