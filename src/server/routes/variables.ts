import { randomUUID } from "node:crypto";
import { z } from "zod";
import { FilterVariables, VariableFilter } from "../../prefect-api/filters.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { CreateVariable, UpdateVariable, type Variable } from "../../prefect-api/variables.ts";
import { hasCode, UserError } from "../../shared/errors.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByName = z.object({ name: z.string() });
const CountVariables = z.object({ variables: VariableFilter });

type Key = { id: string } | { name: string };

function required<T>(found: T | undefined | false): T {
  if (found === undefined || found === false) {
    throw new UserError("NOT_FOUND", "Variable not found.");
  }
  return found;
}

export function registerVariables(api: App, { store, clock }: AppDeps): void {
  api.post("/variables", { schema: { body: CreateVariable } }, async (request, reply) => {
    const now = timestampFromDate(clock.now());
    const { name, value = null, tags } = request.body;
    const variable: Variable = { id: randomUUID(), created: now, updated: now, name, value, tags };
    await naming(name, () => store.transaction((tx) => tx.variables.insert(variable)));
    return reply.code(201).send(variable);
  });

  api.post("/variables/filter", { schema: { body: FilterVariables } }, ({ body }) =>
    store.variables.list(body.variables, { sort: body.sort, limit: checkLimit(body.limit), offset: body.offset }),
  );

  api.post("/variables/count", { schema: { body: CountVariables } }, ({ body }) =>
    store.variables.count(body.variables),
  );

  const update = async (key: Key, { name, value, tags }: UpdateVariable) => {
    const changes = {
      ...(name != null && { name }),
      ...(value !== undefined && { value }),
      ...(tags != null && { tags }),
    };
    await naming(name ?? "", async () => {
      required(await store.transaction((tx) => tx.variables.update(key, changes)));
    });
  };
  const remove = async (key: Key) => {
    required(await store.transaction((tx) => tx.variables.remove(key)));
  };

  api.get("/variables/:id", { schema: { params: ById } }, async ({ params }) =>
    required(await store.variables.find(params)),
  );
  api.get("/variables/name/:name", { schema: { params: ByName } }, async ({ params }) =>
    required(await store.variables.find(params)),
  );
  api.patch("/variables/:id", { schema: { params: ById, body: UpdateVariable } }, async ({ params, body }, reply) => {
    await update(params, body);
    return reply.code(204).send();
  });
  api.patch(
    "/variables/name/:name",
    { schema: { params: ByName, body: UpdateVariable } },
    async ({ params, body }, reply) => {
      await update(params, body);
      return reply.code(204).send();
    },
  );
  api.delete("/variables/:id", { schema: { params: ById } }, async ({ params }, reply) => {
    await remove(params);
    return reply.code(204).send();
  });
  api.delete("/variables/name/:name", { schema: { params: ByName } }, async ({ params }, reply) => {
    await remove(params);
    return reply.code(204).send();
  });
}

/** Says which name is taken. */
async function naming(name: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    if (hasCode(cause, "ALREADY_EXISTS")) {
      throw new UserError("ALREADY_EXISTS", `A variable with the name '${name}' already exists.`, { cause });
    }
    throw cause;
  }
}
