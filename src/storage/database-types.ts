import type { Generated } from "kysely";
import type { StateType } from "../prefect-api/states.ts";

/**
 * The tables as migration 0001 makes them. Column names are the wire's. Timestamps are canonical text (text order is
 * time order), JSON is text (see `columns.ts`), booleans are 0 and 1: the same on SQLite and PostgreSQL.
 */
export interface Database {
  flows: FlowTable;
  deployments: DeploymentTable;
  deployment_schedules: DeploymentScheduleTable;
  flow_runs: FlowRunTable;
  /** Who wrote it is null where nobody said: the first state is the run's creator's. */
  flow_run_states: StateTable<{ flow_run_id: string; written_by: string | null }>;
  flow_run_inputs: FlowRunInputTable;
  flow_run_claims: FlowRunClaimTable;
  task_runs: TaskRunTable;
  task_run_states: StateTable<{ task_run_id: string }>;
  work_pools: WorkPoolTable;
  work_queues: WorkQueueTable;
  workers: WorkerTable;
  logs: LogTable;
  events: EventTable;
  automations: AutomationTable;
  automation_related_resources: { automation_id: string; resource_id: string };
  concurrency_limits: ConcurrencyLimitTable;
  concurrency_leases: ConcurrencyLeaseTable;
  concurrency_lease_limits: LeaseLimitTable;
  variables: VariableTable;
  artifacts: ArtifactTable;
  block_types: BlockTypeTable;
  block_schemas: BlockSchemaTable;
  block_documents: BlockDocumentTable;
  configuration: { key: string; value: string };
  releases: ReleaseTable;
  deployment_owners: DeploymentOwnerTable;
}

type Bit = number;
type Json = string;
type Time = string;

interface Row {
  id: string;
  created: Time;
  updated: Time;
}

interface FlowTable extends Row {
  name: string;
  tags: Json;
  labels: Json;
}

interface DeploymentTable extends Row {
  name: string;
  flow_id: string;
  version: string | null;
  description: string | null;
  paused: Bit;
  concurrency_limit_id: string | null;
  concurrency_options: Json | null;
  job_variables: Json;
  parameters: Json;
  tags: Json;
  labels: Json;
  work_queue_id: string | null;
  parameter_openapi_schema: Json | null;
  path: string | null;
  pull_steps: Json | null;
  entrypoint: string | null;
  storage_document_id: string | null;
  infrastructure_document_id: string | null;
  created_by: Json | null;
  updated_by: Json | null;
  enforce_parameter_schema: Bit;
  announced_status: string | null;
  catch_up: Json | null;
  /** When a runner last asked for runs of this deployment, without a pool. */
  served_at: Time | null;
}

interface DeploymentScheduleTable extends Row {
  deployment_id: string;
  schedule: Json;
  active: Bit;
  max_scheduled_runs: number | null;
  parameters: Json;
  slug: string | null;
  /** Every fire time up to here has its run, or was left out on purpose. Null: nothing has been looked at. */
  scheduled_until: Time | null;
  /** When the scheduler has something to do for it again; empty means now. */
  look_at: Generated<Time>;
  /** Rises with the two above and with all that its runs are made of: planes that tick at once compare it. */
  revision: Generated<number>;
}

interface FlowRunTable extends Row {
  name: string;
  flow_id: string;
  deployment_id: string | null;
  deployment_version: string | null;
  work_queue_id: string | null;
  flow_version: string | null;
  parameters: Json;
  idempotency_key: string | null;
  context: Json;
  empirical_policy: Json;
  tags: Json;
  labels: Json;
  parent_task_run_id: string | null;
  infrastructure_document_id: string | null;
  infrastructure_pid: string | null;
  created_by: Json | null;
  job_variables: Json;
  auto_scheduled: Bit;
  state_id: string | null;
  state_type: StateType | null;
  state_name: string | null;
  state_timestamp: Time | null;
  run_count: number;
  expected_start_time: Time | null;
  next_scheduled_start_time: Time | null;
  start_time: Time | null;
  end_time: Time | null;
  total_run_time: number;
  /** When a PAUSED run fails; null in every other state. */
  pause_timeout: Time | null;
  /** 1 while it counts against the limits of its queue and pool. */
  holds_slot: Generated<Bit>;
  /** The schedule that made the run, and for which of its fire times. */
  schedule_id: string | null;
  schedule_fire_at: Time | null;
}

type StateTable<Owner> = Owner & {
  id: string;
  type: StateType;
  name: string;
  timestamp: Time;
  message: string | null;
  data: Json | null;
  state_details: Json;
};

interface FlowRunInputTable extends Row {
  flow_run_id: string;
  key: string;
  value: string;
  sender: string | null;
}

interface TaskRunTable extends Row {
  name: string;
  flow_run_id: string | null;
  task_key: string;
  dynamic_key: string;
  cache_key: string | null;
  cache_expiration: Time | null;
  task_version: string | null;
  empirical_policy: Json;
  tags: Json;
  labels: Json;
  task_inputs: Json;
  state_id: string | null;
  state_type: StateType | null;
  state_name: string | null;
  state_timestamp: Time | null;
  run_count: number;
  flow_run_run_count: number;
  expected_start_time: Time | null;
  next_scheduled_start_time: Time | null;
  start_time: Time | null;
  end_time: Time | null;
  total_run_time: number;
}

interface WorkPoolTable extends Row {
  name: string;
  description: string | null;
  type: string;
  base_job_template: Json;
  is_paused: Bit;
  concurrency_limit: number | null;
  default_queue_id: string | null;
  storage_configuration: Json;
  /** What the last status event said; the status itself is derived when it is read. */
  announced_status: string | null;
  status_event_id: string | null;
  status_event_at: Time | null;
}

interface WorkQueueTable extends Row {
  name: string;
  description: string;
  is_paused: Bit;
  concurrency_limit: number | null;
  priority: number;
  work_pool_id: string;
  filter: Json | null;
  last_polled: Time | null;
  announced_status: string | null;
}

interface WorkerTable extends Row {
  name: string;
  work_pool_id: string;
  last_heartbeat_time: Time;
  heartbeat_interval_seconds: number | null;
  /** Three heartbeat intervals after the last one: what makes a worker ONLINE is one comparison with the clock. */
  online_until: Time;
  /** 1 once it has renewed claims: a worker that polls is not known by name when it asks for runs. */
  takes_claims: Generated<Bit>;
  /** Since when an operator wants it to take no more runs. */
  draining_since: Time | null;
  /** Since when it says that it is about to stop. */
  stopping_since: Time | null;
}

interface LogTable {
  id: string;
  created: Time;
  name: string;
  level: number;
  message: string;
  timestamp: Time;
  flow_run_id: string | null;
  task_run_id: string | null;
}

interface EventTable {
  id: string;
  occurred: Time;
  received: Time;
  event: string;
  resource_id: string;
  resource: Json;
  related: Json;
  payload: Json;
  follows: string | null;
}

interface AutomationTable extends Row {
  name: string;
  description: string;
  enabled: Bit;
  tags: Json;
  trigger: Json;
  actions: Json;
  actions_on_trigger: Json;
  actions_on_resolve: Json;
  owner_resource: string | null;
}

interface ConcurrencyLimitTable extends Row {
  active: Bit;
  name: string;
  limit: number;
  slot_decay_per_second: number;
  avg_slot_occupancy_seconds: number;
}

/** Slots held until `expires_at`; a lease that is past it holds nothing, so nothing has to free it. */
interface ConcurrencyLeaseTable {
  id: string;
  created: Time;
  expires_at: Time;
  slots: number;
  /** 1: taken without a lease, so nobody knows its id; given back by count. */
  is_plain: Generated<Bit>;
  holder_type: string | null;
  holder_id: string | null;
}

interface LeaseLimitTable {
  lease_id: string;
  limit_id: string;
  /** When the last of the lease's slots of a limit that decays has decayed; null: they stay until the lease ends. */
  decays_at: Time | null;
}

interface VariableTable extends Row {
  name: string;
  value: Json;
  tags: Json;
}

interface ArtifactTable extends Row {
  key: string | null;
  type: string | null;
  description: string | null;
  data: Json | null;
  metadata_: Json | null;
  flow_run_id: string | null;
  task_run_id: string | null;
}

interface BlockTypeTable extends Row {
  name: string;
  slug: string;
  logo_url: string | null;
  documentation_url: string | null;
  description: string | null;
  code_example: string | null;
  is_protected: Bit;
}

interface BlockSchemaTable extends Row {
  checksum: string;
  fields: Json;
  block_type_id: string;
  capabilities: Json;
  version: string;
}

interface BlockDocumentTable extends Row {
  name: string | null;
  data: Json;
  block_schema_id: string;
  block_type_id: string;
  is_anonymous: Bit;
  block_document_references: Json;
}

interface FlowRunClaimTable {
  flow_run_id: string;
  id: string;
  fencing_token: number;
  worker_name: string;
  worker_instance: string;
  work_pool_id: string;
  claimed_at: Time;
  expires_at: Time;
  started: Bit;
  unstarted_claims: number;
  /** 1 when nobody holds the run; the row stays for its token. */
  ended: Bit;
}

interface ScopeColumns {
  repository: string;
  project_path: string;
  environment: string;
}

interface ReleaseTable extends ScopeColumns {
  id: string;
  created: Time;
  /** Counts from 1 in the scope. */
  number: number;
  /** 1 for at most one of the scope. */
  live: Bit;
  commit_sha: string | null;
  /** Of the newest commit that this release was found to have the state of. */
  newest_commit_at: Time | null;
  source: Json;
  plan_hash: string;
  images: Json;
  deployment_names: Json;
  changes: Json;
  /** JSON, deflated, as base64. */
  candidate: string;
  rollback_of: string | null;
}

interface DeploymentOwnerTable extends ScopeColumns {
  deployment_id: string;
  /** 1 while the scope's releases lack it. */
  is_missing: Bit;
  missing_since_commit: string | null;
  paused_by_pruning: Bit;
}
