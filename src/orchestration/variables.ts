import { randomUUID } from "node:crypto";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { CreateVariable, UpdateVariable, Variable } from "../prefect-api/variables.ts";
import { hasCode, UserError } from "../shared/errors.ts";
import type { Store, Tx } from "../storage/store.ts";
import { announceChanges } from "./events/announce-changes.ts";
import { tellVariable } from "./events/lifecycle-event.ts";

type Key = { id: string } | { name: string };

/** Throws UserError ALREADY_EXISTS. */
export async function createVariable(
  store: Pick<Store, "transaction">,
  { name, value = null, tags }: CreateVariable,
  now: Date,
): Promise<Variable> {
  const created = timestampFromDate(now);
  const variable: Variable = { id: randomUUID(), created, updated: created, name, value, tags };
  await naming(name, () =>
    store.transaction(async (tx) => {
      await tx.variables.insert(variable);
      await announceChanges(tx, [tellVariable("created", variable)], now);
    }),
  );
  return variable;
}

/** Only the keys that are present change anything. Throws UserError NOT_FOUND, ALREADY_EXISTS. */
export async function updateVariable(
  store: Pick<Store, "transaction">,
  key: Key,
  { name, value, tags }: UpdateVariable,
  now: Date,
): Promise<void> {
  await naming(name ?? "", () =>
    store.transaction(async (tx) => {
      const { id } = await getVariable(tx, key);
      await tx.variables.update(
        { id },
        { ...(name != null && { name }), ...(value !== undefined && { value }), ...(tags != null && { tags }) },
      );
      await announceChanges(tx, [tellVariable("updated", await getVariable(tx, { id }))], now);
    }),
  );
}

/** Throws UserError NOT_FOUND. */
export function deleteVariable(store: Pick<Store, "transaction">, key: Key, now: Date): Promise<void> {
  return store.transaction(async (tx) => {
    await announceChanges(tx, [tellVariable("deleted", await getVariable(tx, key))], now);
    await tx.variables.remove(key);
  });
}

/** Throws UserError NOT_FOUND. */
export async function getVariable({ variables }: Pick<Tx, "variables">, key: Key): Promise<Variable> {
  const variable = await variables.find(key);
  if (variable === undefined) {
    throw new UserError("NOT_FOUND", "Variable not found.");
  }
  return variable;
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
