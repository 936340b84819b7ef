import { blocksOf } from "./read-in-pieces.ts";
import type { Expression, FunctionDefinition, Statement } from "./syntax.ts";

export interface DecoratedFlow {
  /** The function's name with the classes that it is in, as an entrypoint has it behind the colon. */
  objectPath: string;
  functionName: string;
  /** The name that the decorator gives as a plain text. */
  givenName: string | null;
}

interface FlowNames {
  /** Names that stand for `flow` itself. */
  direct: Set<string>;
  /** Names of modules that have it as an attribute. */
  modules: Set<string>;
}

/** The functions of a file that Prefect's decorator stands above and that an entrypoint can name, in their order. */
export function listDecoratedFlows(body: readonly Statement[]): DecoratedFlow[] {
  const names = flowNames(body);
  return functionsOf(body, []).flatMap(({ definition, owner }) => {
    const decorator = definition.decorators.find((one) => isFlow(one, names));
    if (decorator === undefined) return [];
    const objectPath = [...owner, definition.name].join(".");
    return [{ objectPath, functionName: definition.name, givenName: givenName(decorator) }];
  });
}

function flowNames(body: readonly Statement[]): FlowNames {
  const names: FlowNames = { direct: new Set(), modules: new Set() };
  for (const statement of body) {
    if (statement.kind === "import") {
      for (const { name, as } of statement.names)
        if (name === "prefect" || name === "prefect.flows") names.modules.add(as ?? name);
    }
    if (statement.kind === "import-from" && statement.level === 0 && /^prefect(?:\.flows)?$/.test(statement.module)) {
      for (const { name, as } of statement.names) {
        if (name === "flow") names.direct.add(as ?? name);
        if (name === "flows") names.modules.add(as ?? name);
      }
    }
    const inner = flowNames(blocksOf(statement));
    for (const name of inner.direct) names.direct.add(name);
    for (const name of inner.modules) names.modules.add(name);
  }
  return names;
}

/** Functions that can be named in an entrypoint: at the top, in conditions, and in classes; none inside functions. */
function functionsOf(
  body: readonly Statement[],
  owner: readonly string[],
): { definition: FunctionDefinition; owner: readonly string[] }[] {
  return body.flatMap((statement) => {
    if (statement.kind === "function") return [{ definition: statement, owner }];
    return functionsOf(blocksOf(statement), statement.kind === "class" ? [...owner, statement.name] : owner);
  });
}

function isFlow(decorator: Expression, names: FlowNames): boolean {
  const callee = decorator.kind === "call" ? decorator.callee : decorator;
  if (callee.kind === "name") return names.direct.has(callee.name);
  return callee.kind === "attribute" && callee.name === "flow" && names.modules.has(dotted(callee.object));
}

function dotted(expression: Expression): string {
  if (expression.kind === "name") return expression.name;
  return expression.kind === "attribute" ? `${dotted(expression.object)}.${expression.name}` : "";
}

function givenName(decorator: Expression): string | null {
  if (decorator.kind !== "call") return null;
  const value = decorator.args.find((arg) => arg.name === "name")?.value;
  return value?.kind === "string" && value.value !== "" ? value.value : null;
}
