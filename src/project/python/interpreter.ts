import type { Expression, Statement } from "./syntax.ts";
import type { CallArguments, ModuleValue, PythonFailure, Scope, Value } from "./value.ts";

/** How a run of statements ended. `null`: it ran through. */
export type Completion = { kind: "return"; value: Value } | { kind: "break" | "continue" } | null;

/** The parts of the reader that need each other; `create-interpreter.ts` puts them together. */
export interface Interpreter {
  evaluate(expression: Expression, scope: Scope): Value;
  execute(statements: readonly Statement[], scope: Scope): Completion;
  call(callee: Value, args: CallArguments, site: Site): Value;
  getAttribute(object: Value, name: string, site: Site): Value;
  /** A module of the project by its dotted name, executed at most once; null if the project has none. */
  importProjectModule(name: string): ModuleValue | null;
  /** Whether a top-level name can be imported although the project does not hold it. */
  isInstalled(topLevelName: string): boolean;
  /** Marks a value as taken from the deployer's environment, which is not read here. */
  markAsEnvironment(value: Value): void;
  /** Counts one step; throws `OutOfSteps` when too many were made. */
  step(): void;
  /** Allows a new statement of a module its own share of steps. */
  refill(): void;
  /** Above zero: it is not certain that this code runs, so nothing may be concluded from its raising. */
  speculation: number;
  callDepth: number;
}

/** Where something is written: the scope says in which module. */
export interface Site {
  scope: Scope;
  at: number;
}

/** A Python exception on its way up. */
export class PythonError extends Error {
  readonly failure: PythonFailure;

  constructor(type: string, message: string, site: Site) {
    super(`${type}: ${message}`);
    this.failure = { type, message, source: site.scope.module.source, at: site.at };
  }
}

/** The source asks for more work than a reader should do; what was computed is unknown. */
export class OutOfSteps extends Error {}
