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
  const marks = /[#"'()[\]{}]/g;
  for (let match = marks.exec(text); match !== null; match = marks.exec(text)) {
    const [character] = match;
    const at = match.index;
    if (character === "#") marks.lastIndex = endOfLine(text, at);
    else if (character === '"' || character === "'") {
      const end = endOfString(text, at, character);
      if (end === null) return { message: "a string is not closed", at };
      marks.lastIndex = end;
    } else if (PAIRS[character] === undefined) open.push({ character, at });
    else if (open.pop()?.character !== PAIRS[character]) return { message: `unmatched '${character}'`, at };
  }
  const [first] = open;
  return first === undefined ? null : { message: `'${first.character}' was never closed`, at: first.at };
}

function endOfLine(text: string, at: number): number {
  const ends = /[\r\n]|$/g;
  ends.lastIndex = at;
  return ends.exec(text)?.index ?? text.length;
}

/** The offset behind a string's last quote; null if it is not closed. */
function endOfString(text: string, at: number, quote: string): number | null {
  const isLong = text.startsWith(quote.repeat(3), at);
  const mark = isLong ? quote.repeat(3) : quote;
  for (let index = at + mark.length; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (character === "\\") index += 1;
    else if (!isLong && /[\r\n]/.test(character)) return null;
    else if (text.startsWith(mark, index)) return index + mark.length;
  }
  return null;
}
