import { Pool } from "pg";

/** Connections, as many as the bench has clients. */
const CONNECTIONS = 8;

export interface BareRun {
  id: string;
  name: string;
  parameters: string;
  stateId: string;
  stateType: string;
  timestamp: string;
}

/** The least that keeps a run and its state: five round trips, of statements that are prepared once. */
export async function openBarePostgres(url: string): Promise<(run: BareRun) => Promise<void>> {
  const pool = new Pool({ connectionString: url, max: CONNECTIONS });
  await pool.query(`
    create table runs (id text primary key, name text not null, parameters text not null, state_id text,
      state_type text);
    create table states (id text primary key, run_id text not null, type text not null, timestamp text not null);
    create index states_by_run on states (run_id, timestamp)`);
  return async ({ id, name, parameters, stateId, stateType, timestamp }) => {
    const client = await pool.connect();
    await client.query("begin");
    const run = "insert into runs (id, name, parameters) values ($1, $2, $3)";
    await client.query({ name: "run", text: run, values: [id, name, parameters] });
    const state = "insert into states (id, run_id, type, timestamp) values ($1, $2, $3, $4)";
    await client.query({ name: "state", text: state, values: [stateId, id, stateType, timestamp] });
    const update = "update runs set state_id = $1, state_type = $2 where id = $3";
    await client.query({ name: "update", text: update, values: [stateId, stateType, id] });
    await client.query("commit");
    client.release();
  };
}
