import { getAttribute } from "./attributes.ts";
import { call } from "./call.ts";
import { evaluate } from "./evaluate.ts";
import { execute } from "./execute.ts";
import { type Interpreter, OutOfSteps } from "./interpreter.ts";
import type { ProjectModules } from "./project-modules.ts";
import type { Value } from "./value.ts";
import { limitSize } from "./weight.ts";

/** One statement of a file may take this many steps; a class of a hundred fields takes about 500. */
const STEPS_PER_STATEMENT = 50_000;
/** All files together; about two seconds. After that every statement gets the small share below. */
const STEPS_IN_ALL = 2_000_000;
const STEPS_WHEN_SPENT = 50;

export interface ReaderOfPython extends Interpreter {
  /** Values that stand for something in the deployer's environment. */
  fromEnvironment: WeakSet<Value>;
}

export function createInterpreter(modules: ProjectModules): ReaderOfPython {
  let total = STEPS_IN_ALL;
  let left = STEPS_PER_STATEMENT;
  const fromEnvironment = new WeakSet<Value>();
  const interpreter: ReaderOfPython = {
    fromEnvironment,
    speculation: 0,
    callDepth: 0,
    evaluate: (expression, scope) => limitSize(evaluate(expression, scope, interpreter)),
    execute: (statements, scope) => execute(statements, scope, interpreter),
    call: (callee, args, site) => call(callee, args, site, interpreter),
    getAttribute: (object, name, site) => getAttribute(object, name, site, interpreter),
    importProjectModule: (name) => modules.import(name, interpreter),
    isInstalled: (name) => modules.isInstalled(name),
    markAsEnvironment: (value) => {
      fromEnvironment.add(value);
    },
    refill: () => {
      total -= STEPS_PER_STATEMENT - left;
      left = total > 0 ? STEPS_PER_STATEMENT : STEPS_WHEN_SPENT;
    },
    step: () => {
      left -= 1;
      if (left < 0) throw new OutOfSteps("too many steps");
    },
  };
  return interpreter;
}
