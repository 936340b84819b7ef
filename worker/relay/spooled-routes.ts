import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { Event } from "../../src/prefect-api/events.ts";
import { CreateLog } from "../../src/prefect-api/logs.ts";
import { parseJson } from "../../src/prefect-api/parse-json.ts";
import { stopEarly } from "../../src/prefect-api/stop-early.ts";
import { sendAway } from "./away.ts";
import { KEEP_OR_REFUSE_HEADER } from "./keep-or-refuse.ts";
import type { RelayDeps } from "./relay-deps.ts";
import type { RunIdentity } from "./run-token.ts";

const NO_ROOM_STATUS = 507;

const Logs = stopEarly(z.array(CreateLog));
const Events = stopEarly(z.array(Event));

/** What is kept and answered at once, whatever the plane does. */
export function registerSpooled(
  api: FastifyInstance,
  { inbox }: Pick<RelayDeps, "inbox">,
  identityOf: (request: FastifyRequest) => RunIdentity | undefined,
): void {
  for (const path of ["/api/logs", "/api/logs/"]) {
    api.post(path, (request, reply) => {
      const logs = parseBody(Logs, request.body);
      if (!logs.success) {
        return reply.code(422).send(describeProblem(logs.error));
      }
      const by = identityOf(request);
      if (request.headers[KEEP_OR_REFUSE_HEADER] === undefined) {
        inbox.addLogs(logs.data, by);
      } else if (!inbox.keepLogs(logs.data, by)) {
        return reply.code(NO_ROOM_STATUS).send({ exception_message: "The relay has no room." });
      }
      return reply.code(201).type("application/json").send("null");
    });
  }
  for (const path of ["/api/events", "/api/events/"]) {
    api.post(path, (request, reply) => {
      const events = parseBody(Events, request.body);
      if (!events.success) {
        return reply.code(422).send(describeProblem(events.error));
      }
      return inbox.addEvents(events.data, identityOf(request)) ? reply.code(204).send() : sendAway(reply);
    });
  }
}

function parseBody<S extends z.ZodType>(schema: S, body: unknown) {
  try {
    return schema.safeParse(parseJson(String(body)));
  } catch {
    return schema.safeParse(undefined);
  }
}

function describeProblem(error: z.ZodError) {
  return { exception_message: "Invalid request received.", exception_detail: z.prettifyError(error) };
}
