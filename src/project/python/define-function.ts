import { type Interpreter, PythonError, type Site } from "./interpreter.ts";
import type { Expression, FunctionDefinition } from "./syntax.ts";
import type { Annotation, FunctionValue, ParameterValue, Scope, Value } from "./value.ts";

/** A `def` with its decorators applied, in Python's order: decorators, defaults, annotations, then inside out. */
export function defineFunction(definition: FunctionDefinition, scope: Scope, interpreter: Interpreter): Value {
  const decorators = definition.decorators.map((decorator) => ({
    decorator,
    value: interpreter.evaluate(decorator, scope),
  }));
  let value: Value = createFunction(definition, scope, interpreter);
  for (const { decorator, value: callee } of decorators.toReversed()) {
    value = decorate(value, callee, decorator, { scope, at: definition.definedAt }, interpreter);
  }
  return value;
}

function createFunction(definition: FunctionDefinition, scope: Scope, interpreter: Interpreter): FunctionValue {
  const inner = withTypeParameters(definition, scope);
  const defaults = definition.parameters.map((parameter) =>
    parameter.default === null ? null : interpreter.evaluate(parameter.default, scope),
  );
  const annotate = (annotation: Expression | null): Annotation | null => {
    if (annotation === null) return null;
    if (scope.module.hasFutureAnnotations) return { kind: "later", expression: annotation };
    return { kind: "value", value: interpreter.evaluate(annotation, inner) };
  };
  const parameters = definition.parameters.map(
    (parameter, index): ParameterValue => ({
      name: parameter.name,
      kind: parameter.kind,
      at: parameter.at,
      default: defaults[index] ?? null,
      annotation: annotate(parameter.annotation),
    }),
  );
  return {
    kind: "function",
    name: definition.name,
    docstring: definition.docstring,
    definition,
    parameters,
    returns: annotate(definition.returns),
    scope: inner,
    wrapped: null,
    decoratedBy: null,
  };
}

function withTypeParameters(definition: Pick<FunctionDefinition, "typeParameters">, scope: Scope): Scope {
  if (definition.typeParameters.length === 0) return scope;
  const names = new Map(
    definition.typeParameters.map(({ name }): [string, Value] => [
      name,
      { kind: "typevar", name, bound: null, constraints: [] },
    ]),
  );
  return { ...scope, names, parent: scope, kind: "function", annotations: null };
}

function decorate(value: Value, callee: Value, decorator: Expression, site: Site, interpreter: Interpreter): Value {
  if (callee.kind === "method" && callee.name === "setter") return callee.self;
  const result =
    callee.kind === "unknown"
      ? callee
      : interpreter.call(callee, { positional: [value], named: new Map(), isPartial: false }, site);
  if (result.kind !== "unknown") return result;
  // Foreign decorators nearly always keep the signature (functools.wraps); the flow's notices name this one.
  const name = nameOfDecorator(decorator);
  if (value.kind === "function") return { ...value, decoratedBy: name };
  return value.kind === "flow" ? { ...value, function: { ...value.function, decoratedBy: name } } : result;
}

function nameOfDecorator(decorator: Expression): string {
  if (decorator.kind === "call") return nameOfDecorator(decorator.callee);
  if (decorator.kind === "attribute") return `${nameOfDecorator(decorator.object)}.${decorator.name}`;
  return decorator.kind === "name" ? decorator.name : "a decorator";
}

/** Throws what Python's compiler says of a signature that it refuses. */
export function checkSignature(definition: FunctionDefinition, scope: Scope): void {
  const seen = new Set<string>();
  let hasDefault = false;
  for (const { name, kind, at, default: value } of definition.parameters) {
    if (seen.has(name))
      throw new PythonError("SyntaxError", `duplicate argument '${name}' in function definition`, { scope, at });
    seen.add(name);
    if (kind !== "positional" && kind !== "normal") continue;
    if (hasDefault && value === null)
      throw new PythonError("SyntaxError", `parameter '${name}' without a default follows one with a default`, {
        scope,
        at,
      });
    hasDefault ||= value !== null;
  }
}
