import { namesBoundBy } from "./assign.ts";
import { type Completion, type Interpreter, PythonError } from "./interpreter.ts";
import type { Statement } from "./syntax.ts";
import { areEqual, type Scope, unknown, type Value } from "./value.ts";

/**
 * Runs alternatives of which one runs in reality, and we cannot tell which. A name keeps its value when all agree;
 * functions, classes and modules keep the first one's, since the alternatives are nearly always equivalent.
 */
export function runSpeculatively(
  bodies: readonly (readonly Statement[])[],
  scope: Scope,
  interpreter: Interpreter,
): Completion {
  const names = new Set(bodies.flatMap((body) => [...namesBoundBy(body)]));
  const before = new Map([...names].map((name) => [name, scope.names.get(name)]));
  const outcomes: Map<string, Value | undefined>[] = [];
  let mayReturn = false;
  for (const body of bodies) {
    restore(before, scope);
    interpreter.speculation += 1;
    try {
      mayReturn = interpreter.execute(body, scope) !== null || mayReturn;
      outcomes.push(new Map([...names].map((name) => [name, scope.names.get(name)])));
    } catch (error) {
      // This alternative does not get to its end: what it leaves behind does not count.
      if (!(error instanceof PythonError)) throw error;
    } finally {
      interpreter.speculation -= 1;
    }
  }
  restore(before, scope);
  for (const name of names) {
    const value = agree(
      name,
      outcomes.map((outcome) => outcome.get(name)),
    );
    if (value !== undefined) scope.names.set(name, value);
  }
  return mayReturn ? { kind: "return", value: unknown("it depends on a condition") } : null;
}

function restore(names: ReadonlyMap<string, Value | undefined>, scope: Scope): void {
  for (const [name, value] of names) {
    if (value === undefined) scope.names.delete(name);
    else scope.names.set(name, value);
  }
}

function agree(name: string, candidates: readonly (Value | undefined)[]): Value | undefined {
  const present = candidates.filter((candidate) => candidate !== undefined);
  const [first] = present;
  if (first === undefined) return undefined;
  const areAllEqual =
    present.length === candidates.length && present.every((one) => one === first || areEqual(one, first) === true);
  const definition = present.find((one) => /^(?:function|class|module|flow|known)$/.test(one.kind));
  return areAllEqual ? first : (definition ?? unknown(`${name} depends on a condition`));
}
