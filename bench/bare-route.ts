import { randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import Fastify from "fastify";
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { type BareRun, openBarePostgres } from "./bare-postgres.ts";

// The limit that the plane is held against: the least that any Fastify route does that parses its body with zod and
// keeps one flow run and its state in one durable transaction. Run as a process: `bare-route.ts PORT FILE|URL`.

const [port, location] = process.argv.slice(2);
if (port === undefined || location === undefined) {
  throw new Error("usage: bare-route.ts PORT FILE|URL");
}

const keep = location.startsWith("postgresql:") ? await openBarePostgres(location) : openBareSqlite(location);

function openBareSqlite(file: string) {
  const database = new DatabaseSync(file);
  database.exec(`
  pragma journal_mode = wal;
  pragma synchronous = full;
  create table runs (id text primary key, name text not null, parameters text not null, state_id text, state_type text);
  create table states (id text primary key, run_id text not null, type text not null, timestamp text not null);
  create index states_by_run on states (run_id, timestamp);
`);
  const insertRun = database.prepare("insert into runs (id, name, parameters) values (?, ?, ?)");
  const insertState = database.prepare("insert into states (id, run_id, type, timestamp) values (?, ?, ?, ?)");
  const updateRun = database.prepare("update runs set state_id = ?, state_type = ? where id = ?");
  return async ({ id, name, parameters, stateId, stateType, timestamp }: BareRun) => {
    database.exec("begin immediate");
    insertRun.run(id, name, parameters);
    insertState.run(stateId, id, stateType, timestamp);
    updateRun.run(stateId, stateType, id);
    database.exec("commit");
  };
}

const Body = z.strictObject({
  name: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).default({}),
  state: z.strictObject({ type: z.enum(["SCHEDULED", "PENDING", "RUNNING"]), message: z.string().nullish() }),
});

const app = Fastify().withTypeProvider<ZodTypeProvider>();
app.setValidatorCompiler(validatorCompiler);
app.setSerializerCompiler(serializerCompiler);
app.get("/health", () => true);
app.post("/runs", { schema: { body: Body } }, async (request, reply) => {
  const id = randomUUID();
  const stateId = randomUUID();
  const timestamp = new Date().toISOString();
  const { name, parameters, state } = request.body;
  const run = { id, name: name ?? "unnamed", parameters: JSON.stringify(parameters) };
  await keep({ ...run, stateId, stateType: state.type, timestamp });
  return reply.status(201).send({ id, name, parameters, state: { id: stateId, ...state, timestamp } });
});
await app.listen({ host: "127.0.0.1", port: Number(port) });
