import { kindOfClass, knownBasesOf } from "./class-kind.ts";
import { evaluateArguments } from "./evaluate.ts";
import type { Interpreter } from "./interpreter.ts";
import { iterate } from "./iterate.ts";
import type { ClassDefinition } from "./syntax.ts";
import { areEqual, type ClassValue, int, type Scope, str, unknown, type Value } from "./value.ts";

export function defineClass(definition: ClassDefinition, outer: Scope, interpreter: Interpreter): Value {
  const decorators = definition.decorators.map((decorator) => interpreter.evaluate(decorator, outer));
  const parameters = definition.typeParameters.map(({ name }): [string, Value] => [
    name,
    { kind: "typevar", name, bound: null, constraints: [] },
  ]);
  const parent: Scope =
    parameters.length === 0
      ? outer
      : { ...outer, names: new Map(parameters), parent: outer, kind: "function", annotations: null };
  const args = evaluateArguments(definition.args, parent, interpreter);
  const qualname = outer.kind === "module" ? definition.name : `${outer.qualname}.${definition.name}`;
  const scope: Scope = {
    names: new Map(),
    parent,
    module: outer.module,
    kind: "class",
    isOpen: false,
    qualname,
    annotations: [],
  };
  const type: ClassValue = {
    kind: "class",
    name: definition.name,
    qualname,
    scope,
    bases: args.isPartial ? [unknown("its bases are not known")] : args.positional,
    keywords: args.named,
    attributes: scope.names,
    annotations: scope.annotations ?? [],
    docstring: definition.docstring,
    definition,
    typeParameters: parameters.map(([name]) => name),
    dataclass: null,
    isRuntimeCheckable: false,
  };
  interpreter.execute(definition.body, scope);
  if (kindOfClass(type) === "enum") makeMembers(type);
  let value: Value = type;
  for (const decorator of decorators.toReversed()) {
    value = interpreter.call(
      decorator,
      { positional: [value], named: new Map(), isPartial: false },
      { scope: outer, at: definition.at },
    );
  }
  return value;
}

/** Turns the plain names of an enumeration's body into members. */
function makeMembers(type: ClassValue): void {
  const members: Value[] = [];
  const hasOwnValues = type.attributes.has("__new__") || type.attributes.has("_generate_next_value_");
  const ignored = type.attributes.get("_ignore_");
  for (const name of ignored === undefined ? [] : (iterate(ignored) ?? [])) {
    if (name.kind === "str") type.attributes.delete(name.value);
  }
  for (const [name, value] of type.attributes) {
    if (/^_/.test(name) || /^(?:function|wrapper|class|bound|partial)$/.test(value.kind)) continue;
    const plain = hasOwnValues
      ? unknown("the enumeration makes its values itself")
      : memberValue(type, name, value, members);
    const same = members.find((member) => member.kind === "member" && areEqual(member.value, plain) === true);
    const member: Value = same ?? { kind: "member", type, name, value: plain };
    members.push(member);
    type.attributes.set(name, member);
  }
}

function memberValue(type: ClassValue, name: string, value: Value, members: readonly Value[]): Value {
  if (value.kind !== "object" || value.type !== "enum.auto") return value;
  const bases = knownBasesOf(type);
  if (bases.includes("enum.StrEnum")) return str(name.toLowerCase());
  const last = members.at(-1);
  const previous = last?.kind === "member" ? last.value : int(0);
  if (bases.includes("str") && members.length < 1_000) return str(String(members.length + 1));
  if (previous.kind !== "int") return unknown("its value is made by auto()");
  const isFlag = bases.some((base) => base === "enum.Flag" || base === "enum.IntFlag");
  return int(isFlag && previous.value > 0n ? previous.value * 2n : previous.value + 1n);
}
