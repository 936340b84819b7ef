import { checkSignature } from "./define-function.ts";
import { PythonError } from "./interpreter.ts";
import { blocksOf, findDefinition } from "./read-in-pieces.ts";
import type { FunctionDefinition, ModuleSyntax, Statement } from "./syntax.ts";
import type { ModuleValue } from "./value.ts";

export interface SyntaxProblem {
  message: string;
  at: number;
}

/**
 * What no Python accepts. The grammar alone is not trusted with that: it lags behind the language, and a miss of
 * its own must not stop a deploy. So an error counts only if brackets or quotes do not match, or if it is in the
 * head of the very flow that is asked for.
 */
export function findSyntaxError(
  syntax: ModuleSyntax,
  module: ModuleValue,
  path: readonly string[],
): SyntaxProblem | null {
  const { text } = module.source;
  const [first] = syntax.errors;
  if (first !== undefined) {
    const unbalanced = findUnbalanced(text);
    if (unbalanced !== null) return { message: unbalanced.message, at: Math.min(first, unbalanced.at) };
    const [name = ""] = path;
    const definition = findDefinition(syntax.body, name);
    const broken = definition?.kind === "function" ? errorInHead(definition, syntax.errors) : undefined;
    if (broken !== undefined) return { message: "invalid syntax", at: broken };
  }
  return findClashingParameters(syntax.body, module);
}

function errorInHead(definition: FunctionDefinition, errors: readonly number[]): number | undefined {
  const end = definition.body[0]?.at ?? definition.definedAt;
  return errors.find((at) => at >= definition.at && at < end);
}

/** Duplicate parameters and the like make the whole file invalid, wherever they are. */
function findClashingParameters(body: readonly Statement[], module: ModuleValue): SyntaxProblem | null {
  for (const statement of body) {
    if (statement.kind === "function") {
      try {
        checkSignature(statement, module.scope);
      } catch (error) {
        if (error instanceof PythonError) return { message: error.failure.message, at: error.failure.at };
        throw error;
      }
    }
    const inner = findClashingParameters(blocksOf(statement), module);
    if (inner !== null) return inner;
  }
  return null;
}

const PAIRS: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };

/** A bracket or quote without its partner. Strings and comments are skipped. */
function findUnbalanced(text: string): SyntaxProblem | null {
  const open: { character: string; at: number }[] = [];
  const token =
    /#[^\r\n]*|"""(?:\\[\s\S]|(?!""")[\s\S])*"""|'''(?:\\[\s\S]|(?!''')[\s\S])*'''|"(?:\\[\s\S]|[^"\\\r\n])*"|'(?:\\[\s\S]|[^'\\\r\n])*'|["'()[\]{}]/g;
  for (const match of text.matchAll(token)) {
    const [character] = match;
    const at = match.index;
    if (character === '"' || character === "'") return { message: "a string is not closed", at };
    if (/^[([{]$/.test(character)) open.push({ character, at });
    const partner = PAIRS[character];
    if (partner === undefined) continue;
    const last = open.pop();
    if (last?.character !== partner) return { message: `unmatched '${character}'`, at };
  }
  const [first] = open;
  return first === undefined ? null : { message: `'${first.character}' was never closed`, at: first.at };
}
