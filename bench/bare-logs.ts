import { DatabaseSync } from "node:sqlite";
import Fastify from "fastify";
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from "fastify-type-provider-zod";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";

// The limit for log lines: the least that any Fastify route does that parses a batch with zod and keeps its lines, each
// with an index of its run, in one durable SQLite transaction. Run as a process: `bare-logs.ts PORT FILE`.

const [port, file] = process.argv.slice(2);
if (port === undefined || file === undefined) {
  throw new Error("usage: bare-logs.ts PORT FILE");
}

const database = new DatabaseSync(file);
database.exec(`
  pragma journal_mode = wal;
  pragma synchronous = full;
  create table logs (id text primary key, run_id text, name text not null, level integer not null, message text not null,
    timestamp text not null);
  create index logs_by_run on logs (run_id, timestamp);
`);
const insert = database.prepare(
  "insert into logs (id, run_id, name, level, message, timestamp) values (?, ?, ?, ?, ?, ?)",
);
const Lines = z.array(
  z.object({
    name: z.string(),
    level: z.number().int(),
    message: z.string(),
    timestamp: z.string(),
    flow_run_id: z.uuid(),
  }),
);

const app = Fastify().withTypeProvider<ZodTypeProvider>();
app.setValidatorCompiler(validatorCompiler);
app.setSerializerCompiler(serializerCompiler);
app.get("/health", () => true);
app.post("/logs/", { schema: { body: Lines } }, (request, reply) => {
  database.exec("begin immediate");
  for (const line of request.body) {
    insert.run(uuidv7(), line.flow_run_id, line.name, line.level, line.message, line.timestamp);
  }
  database.exec("commit");
  return reply.status(201).send(null);
});
await app.listen({ host: "127.0.0.1", port: Number(port) });
