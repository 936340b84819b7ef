import type { Kysely } from "kysely";
import { buildDdl } from "../dialect.ts";

/** Text that SQLite and PostgreSQL both read: `text`, `integer` and `double precision` only. */
const TABLES = [
  `create table flows (
    id text primary key, created text not null, updated text not null,
    name text not null unique, tags text not null, labels text not null)`,

  `create table work_pools (
    id text primary key, created text not null, updated text not null,
    name text not null unique, description text, type text not null, base_job_template text not null,
    is_paused integer not null, concurrency_limit integer, default_queue_id text,
    storage_configuration text not null, announced_status text, status_event_id text, status_event_at text)`,

  `create table work_queues (
    id text primary key, created text not null, updated text not null,
    name text not null, description text not null, is_paused integer not null, concurrency_limit integer,
    priority integer not null, work_pool_id text not null references work_pools (id) on delete cascade,
    filter text, last_polled text, announced_status text,
    unique (work_pool_id, name))`,

  `create table workers (
    id text primary key, created text not null, updated text not null,
    name text not null, work_pool_id text not null references work_pools (id) on delete cascade,
    last_heartbeat_time text not null, heartbeat_interval_seconds integer, online_until text not null,
    takes_claims integer not null default 0, draining_since text, stopping_since text,
    unique (work_pool_id, name))`,

  `create table concurrency_limits (
    id text primary key, created text not null, updated text not null,
    active integer not null, name text not null unique, "limit" integer not null,
    slot_decay_per_second double precision not null, avg_slot_occupancy_seconds double precision not null)`,

  `create table concurrency_leases (
    id text primary key, created text not null, expires_at text not null, slots integer not null,
    is_plain integer not null default 0, holder_type text, holder_id text)`,

  `create table concurrency_lease_limits (
    lease_id text not null references concurrency_leases (id) on delete cascade,
    limit_id text not null references concurrency_limits (id) on delete cascade,
    decays_at text,
    primary key (limit_id, lease_id))`,

  `create table deployments (
    id text primary key, created text not null, updated text not null,
    name text not null, flow_id text not null references flows (id) on delete cascade,
    version text, description text, paused integer not null,
    concurrency_limit_id text references concurrency_limits (id) on delete set null,
    concurrency_options text, job_variables text not null, parameters text not null, tags text not null,
    labels text not null, work_queue_id text references work_queues (id) on delete set null,
    parameter_openapi_schema text, path text, pull_steps text, entrypoint text, storage_document_id text,
    infrastructure_document_id text, created_by text, updated_by text, enforce_parameter_schema integer not null,
    announced_status text, catch_up text, served_at text,
    unique (flow_id, name))`,

  `create table deployment_schedules (
    id text primary key, created text not null, updated text not null,
    deployment_id text not null references deployments (id) on delete cascade,
    schedule text not null, active integer not null, max_scheduled_runs integer, parameters text not null, slug text,
    scheduled_until text, look_at text not null default '', revision integer not null default 0,
    unique (deployment_id, slug))`,

  // deployment_id has no foreign key: a run outlives its deployment and keeps saying which one it was.
  `create table flow_runs (
    id text primary key, created text not null, updated text not null,
    name text not null, flow_id text not null references flows (id) on delete cascade,
    deployment_id text, deployment_version text,
    work_queue_id text references work_queues (id) on delete set null,
    flow_version text, parameters text not null, idempotency_key text, context text not null,
    empirical_policy text not null, tags text not null, labels text not null, parent_task_run_id text,
    infrastructure_document_id text, infrastructure_pid text, created_by text, job_variables text not null,
    auto_scheduled integer not null, state_id text, state_type text, state_name text, state_timestamp text,
    run_count integer not null, expected_start_time text, next_scheduled_start_time text, start_time text,
    end_time text, total_run_time double precision not null, pause_timeout text,
    holds_slot integer not null default 0, schedule_id text, schedule_fire_at text)`,

  `create table flow_run_states (
    id text primary key, flow_run_id text not null references flow_runs (id) on delete cascade,
    type text not null, name text not null, timestamp text not null, message text, data text,
    state_details text not null, written_by text)`,

  `create table flow_run_inputs (
    id text primary key, created text not null, updated text not null,
    flow_run_id text not null references flow_runs (id) on delete cascade,
    key text not null, value text not null, sender text,
    unique (flow_run_id, key))`,

  `create table flow_run_claims (
    flow_run_id text primary key references flow_runs (id) on delete cascade,
    id text not null, fencing_token integer not null, worker_name text not null, worker_instance text not null,
    work_pool_id text not null references work_pools (id) on delete cascade,
    claimed_at text not null, expires_at text not null, started integer not null, unstarted_claims integer not null,
    ended integer not null)`,

  // No foreign key to flow_runs: task runs arrive as events, possibly after their flow run was deleted.
  `create table task_runs (
    id text primary key, created text not null, updated text not null,
    name text not null, flow_run_id text, task_key text not null, dynamic_key text not null,
    cache_key text, cache_expiration text, task_version text, empirical_policy text not null, tags text not null,
    labels text not null, task_inputs text not null, state_id text, state_type text, state_name text,
    state_timestamp text, run_count integer not null, flow_run_run_count integer not null, expected_start_time text,
    next_scheduled_start_time text, start_time text, end_time text, total_run_time double precision not null,
    unique (flow_run_id, task_key, dynamic_key))`,

  `create table task_run_states (
    id text primary key, task_run_id text not null references task_runs (id) on delete cascade,
    type text not null, name text not null, timestamp text not null, message text, data text,
    state_details text not null)`,

  `create table logs (
    id text primary key, created text not null, name text not null, level integer not null, message text not null,
    timestamp text not null, flow_run_id text, task_run_id text)`,

  `create table events (
    id text primary key, occurred text not null, received text not null, event text not null,
    resource_id text not null, resource text not null, related text not null, payload text not null, follows text)`,

  `create table automations (
    id text primary key, created text not null, updated text not null,
    name text not null, description text not null, enabled integer not null, tags text not null,
    "trigger" text not null, actions text not null, actions_on_trigger text not null,
    actions_on_resolve text not null, owner_resource text)`,

  `create table automation_related_resources (
    automation_id text not null references automations (id) on delete cascade, resource_id text not null,
    primary key (resource_id, automation_id))`,

  `create table variables (
    id text primary key, created text not null, updated text not null,
    name text not null unique, value text not null, tags text not null)`,

  `create table artifacts (
    id text primary key, created text not null, updated text not null,
    key text, type text, description text, data text, metadata_ text, flow_run_id text, task_run_id text)`,

  `create table block_types (
    id text primary key, created text not null, updated text not null,
    name text not null, slug text not null unique, logo_url text, documentation_url text, description text,
    code_example text, is_protected integer not null)`,

  `create table block_schemas (
    id text primary key, created text not null, updated text not null,
    checksum text not null, fields text not null,
    block_type_id text not null references block_types (id) on delete cascade,
    capabilities text not null, version text not null,
    unique (checksum, version))`,

  `create table block_documents (
    id text primary key, created text not null, updated text not null,
    name text, data text not null, block_schema_id text not null references block_schemas (id) on delete cascade,
    block_type_id text not null references block_types (id) on delete cascade,
    is_anonymous integer not null, block_document_references text not null,
    unique (block_type_id, name))`,

  "create table configuration (key text primary key, value text not null)",

  // candidate is the complete desired state, secrets of job variables included (deflated); changes have them hidden.
  `create table releases (
    id text primary key, created text not null,
    repository text not null, project_path text not null, environment text not null, number integer not null,
    live integer not null, commit_sha text, newest_commit_at text, source text not null, plan_hash text not null,
    images text not null, deployment_names text not null, changes text not null, candidate text not null,
    rollback_of text,
    unique (repository, project_path, environment, number))`,

  `create table deployment_owners (
    deployment_id text primary key references deployments (id) on delete cascade,
    repository text not null, project_path text not null, environment text not null,
    is_missing integer not null, missing_since_commit text, paused_by_pruning integer not null)`,
];

const INDEXES = [
  // A poll walks this in order of time; the deployment in it lets it pass over blocked runs without reading their rows.
  "create index flow_runs_by_queue on flow_runs (work_queue_id, state_type, next_scheduled_start_time, deployment_id)",
  "create index flow_runs_holding_slot on flow_runs (work_queue_id) where holds_slot = 1",
  `create index flow_runs_waiting on flow_runs (deployment_id, next_scheduled_start_time)
    where state_type = 'SCHEDULED'`,
  `create index concurrency_limits_closed on concurrency_limits (id) where "limit" = 0`,
  // Lists walk these in their order, some thousand runs at a time; with the id each walk knows where it stopped.
  "create index flow_runs_by_expected_start on flow_runs (expected_start_time, id)",
  "create index flow_runs_by_start on flow_runs (coalesce(start_time, expected_start_time), id, deployment_id)",
  "create index flow_runs_by_end_time on flow_runs (end_time, id) where end_time is not null",
  `create index flow_runs_by_next_start on flow_runs (next_scheduled_start_time, id, state_name)
    where next_scheduled_start_time is not null`,
  "create index flow_runs_by_name on flow_runs (name, id)",
  "create index flow_runs_by_deployment on flow_runs (deployment_id, expected_start_time, id)",
  "create index flow_runs_by_flow on flow_runs (flow_id, expected_start_time, id)",
  // Runs are most often asked for by their states: each state's are in both orders, so that nobody walks past the others.
  `create index flow_runs_by_state on flow_runs
    (state_type, state_name, expected_start_time, id, deployment_id)`,
  `create index flow_runs_by_state_and_start on flow_runs
    (state_type, state_name, coalesce(start_time, expected_start_time), id, deployment_id)`,
  // Runs of a deployment mostly have the same tags, so that the different lists of tags are few.
  "create index flow_runs_by_tags on flow_runs (tags)",
  "create index flow_runs_by_parent on flow_runs (parent_task_run_id) where parent_task_run_id is not null",
  `create unique index flow_runs_by_idempotency_key on flow_runs (flow_id, idempotency_key)
    where idempotency_key is not null`,
  "create index flow_run_claims_by_end on flow_run_claims (expires_at) where ended = 0",
  "create index flow_run_claims_by_worker on flow_run_claims (work_pool_id, worker_name) where ended = 0",
  "create unique index flow_run_claims_by_lease on flow_run_claims (id)",
  // The loops: what is paused too long, what was cancelled with its task runs, and with its subflows.
  "create index flow_runs_by_pause_timeout on flow_runs (pause_timeout) where pause_timeout is not null",
  "create index flow_runs_cancelled on flow_runs (state_type, end_time) where state_type = 'CANCELLED'",
  "create index flow_runs_subflows on flow_runs (state_type) where parent_task_run_id is not null",
  "create index task_runs_open on task_runs (flow_run_id) where end_time is null",
  "create index leases_by_expiry on concurrency_leases (expires_at)",
  // What waits of a schedule, however many of its runs are stored.
  `create index flow_runs_waiting_by_schedule on flow_runs (schedule_id, next_scheduled_start_time)
    where state_type = 'SCHEDULED' and run_count = 0`,
  // One run for each fire time of a schedule, however many planes make them; also finds the runs of a schedule.
  `create unique index flow_runs_by_fire_time on flow_runs (schedule_id, schedule_fire_at)
    where schedule_id is not null`,
  "create index deployment_schedules_by_look on deployment_schedules (look_at) where active = 1",
  "create index flow_run_states_by_run on flow_run_states (flow_run_id, timestamp)",
  "create index task_runs_by_expected_start on task_runs (expected_start_time)",
  "create index task_run_states_by_run on task_run_states (task_run_id, timestamp)",
  "create index logs_by_flow_run on logs (flow_run_id, timestamp)",
  "create index logs_by_task_run on logs (task_run_id, timestamp) where task_run_id is not null",
  "create index logs_by_timestamp on logs (timestamp)",
  "create index events_by_occurred on events (occurred, id)",
  "create index events_by_resource on events (resource_id, occurred)",
  "create index deployments_by_queue on deployments (work_queue_id)",
  "create index deployments_by_name on deployments (name)",
  "create index deployments_by_limit on deployments (concurrency_limit_id) where concurrency_limit_id is not null",
  "create index leases_by_holder on concurrency_leases (holder_id) where holder_id is not null",
  "create index lease_limits_by_lease on concurrency_lease_limits (lease_id)",
  "create index automations_by_owner on automations (owner_resource) where owner_resource is not null",
  "create index artifacts_by_key on artifacts (key, created) where key is not null",
  "create index artifacts_by_flow_run on artifacts (flow_run_id) where flow_run_id is not null",
  "create index block_schemas_by_type on block_schemas (block_type_id)",
  "create index block_documents_by_schema on block_documents (block_schema_id)",
  "create unique index releases_live on releases (repository, project_path, environment) where live = 1",
  "create index releases_by_created on releases (created, id)",
  "create index deployment_owners_by_scope on deployment_owners (repository, project_path, environment)",
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [...TABLES, ...INDEXES]) {
    await buildDdl(statement).execute(db);
  }
}
