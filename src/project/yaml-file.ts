import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLError,
  type YAMLMap,
} from "yaml";
import type { Problem } from "./problem.ts";
import { buildSourceText, type SourceText } from "./source-text.ts";
import { PYYAML_SCALARS } from "./yaml-scalars.ts";

/** More values than this after all aliases are written out is a trap, not a project. */
const MAX_VALUES = 1_000_000;
const MERGE_KEY = "<<";

export type Path = readonly (string | number)[];

/** A YAML file as JSON values, each of which still knows its place. */
export interface YamlFile {
  source: SourceText;
  /** Undefined when the file cannot be read as YAML; `problems` then says why. */
  value: unknown;
  problems: Problem[];
  /** A problem at the value of `path` (at its key when it is a mapping or list), or at the nearest thing above it. */
  problemAt(path: Path, severity: Problem["severity"], message: string, hint?: string): Problem;
  /** A problem with the key itself. */
  problemAtKey(path: Path, severity: Problem["severity"], message: string, hint?: string): Problem;
  /** The text of a scalar as written, quotes not included; for a hint such as `write "1.10"`. */
  writtenScalar(path: Path): string | undefined;
  /** True when the value of `path` carries an anchor: something below may use it. */
  isAnchored(path: Path): boolean;
}

/** Reads YAML as PyYAML's `safe_load` does (aliases, merge keys, last duplicate wins) and collects every problem. */
export function parseYamlFile(file: string, text: string): YamlFile {
  const source = buildSourceText(file, text.replace(/^\uFEFF/, ""));
  const document = parseDocument(source.text, {
    version: "1.1",
    schema: "failsafe",
    customTags: (tags) => [...PYYAML_SCALARS, ...tags],
    uniqueKeys: false,
    prettyErrors: false,
  });
  const problems = dropRepeated([...listDocumentProblems(source, document), ...listSyntaxProblems(source, document)]);
  const broken = problems.some((problem) => problem.severity === "error");
  const tooLarge = broken ? undefined : findTooLarge(source, document);
  if (tooLarge !== undefined) {
    problems.push(tooLarge);
  }
  const readable = !broken && tooLarge === undefined;
  const root = readable ? document.contents : null;
  const find = (path: Path) => findNodes(document, root, path);
  return {
    source,
    value: readable ? readValue(document, document.contents, new Map()) : undefined,
    problems,
    problemAt(path, severity, message, hint) {
      const { key, value } = find(path);
      const isCollection = isMap(value) || isSeq(value);
      const at = (isCollection ? (key ?? value) : (value ?? key))?.range?.[0] ?? 0;
      return buildProblem(source, at, severity, message, hint);
    },
    problemAtKey(path, severity, message, hint) {
      const { key, value } = find(path);
      return buildProblem(source, (key ?? value)?.range?.[0] ?? 0, severity, message, hint);
    },
    writtenScalar(path) {
      const { value } = find(path);
      return isScalar(value) ? value.source : undefined;
    },
    isAnchored(path) {
      const { value } = find(path);
      return value !== null && value !== undefined && !isAlias(value) && value.anchor !== undefined;
    },
  };
}

export function buildProblem(
  source: SourceText,
  offset: number,
  severity: Problem["severity"],
  message: string,
  hint?: string,
): Problem {
  const problem: Problem = { severity, message, location: source.locate(offset), frame: source.frame(offset) };
  return hint === undefined ? problem : { ...problem, hint };
}

const QUOTE_BRACES = 'Text with {{ }} must stand in quotes in YAML: write "{{ name }}".';

function describeSyntaxError(error: YAMLError): { message: string; hint?: string } {
  const message = error.message.replace(/\.$/, "");
  switch (error.code) {
    case "TAB_AS_INDENT":
      return { message: "a tab is used as indentation, which YAML does not allow.", hint: "Indent with blanks." };
    case "MULTIPLE_DOCS":
      return {
        message: "the file holds more than one YAML document.",
        hint: "Prefect reads one document a file: remove the `---` and what belongs to another file.",
      };
    case "TAG_RESOLVE_FAILED":
      return {
        message: `${message}: the tag is not one of YAML's own.`,
        hint: 'For a value of the environment write "{{ $NAME }}".',
      };
    default:
      return { message: `${message}.` };
  }
}

function listSyntaxProblems(source: SourceText, document: Document): Problem[] {
  // An unknown tag is only a warning to the parser, but PyYAML refuses it, and so would every other tool of the team.
  const errors = [...document.errors, ...document.warnings.filter((warning) => warning.code === "TAG_RESOLVE_FAILED")];
  return errors.map((error) => {
    const { message, hint } = describeSyntaxError(error);
    const at = error.pos[0];
    const line = source.text.split("\n")[source.locate(at).line - 1] ?? "";
    const unquoted = /^[^"'#]*[:-]\s+\{\{/.test(line) ? QUOTE_BRACES : hint;
    return buildProblem(source, at, "error", message, unquoted);
  });
}

/** Unquoted braces with text after them are two problems to the parser, and one to whoever wrote them. */
function dropRepeated(problems: readonly Problem[]): Problem[] {
  const bracesAt = problems.map(({ hint, location }) => (hint === QUOTE_BRACES ? location?.line : undefined));
  return problems.filter(
    (problem, index) => problem.hint !== QUOTE_BRACES || bracesAt.indexOf(problem.location?.line) === index,
  );
}

function listDocumentProblems(source: SourceText, document: Document): Problem[] {
  const problems: Problem[] = [];
  const report = (node: Node | null, severity: Problem["severity"], message: string, hint?: string) => {
    problems.push(buildProblem(source, node?.range?.[0] ?? 0, severity, message, hint));
  };
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) === undefined) {
        report(alias, "error", `the alias *${alias.source} has no anchor &${alias.source} above it.`);
      }
    },
    Map(_, map) {
      const seen = new Set<string>();
      for (const pair of map.items) {
        const key = pair.key;
        if (isMap(key) || isSeq(key)) {
          const braces = isMap(key) && map.flow === true;
          report(
            braces ? map : key,
            "error",
            braces
              ? "unquoted {{ }}: YAML reads it as a mapping inside a mapping."
              : "a mapping or list is used as a key.",
            braces ? QUOTE_BRACES : undefined,
          );
          continue;
        }
        const name = keyName(key);
        if (seen.has(name) && name !== MERGE_KEY) {
          report(isScalar(key) ? key : map, "warning", `the key "${name}" is given twice; the last one counts.`);
        }
        seen.add(name);
      }
    },
  });
  return problems;
}

function keyName(key: unknown): string {
  return isScalar(key) ? (key.source ?? String(key.value)) : String(key);
}

function resolveAlias(document: Document, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

/** Counts the values that writing out every alias would make, each anchor's own count only once. */
function findTooLarge(source: SourceText, document: Document): Problem | undefined {
  const sizes = new Map<unknown, number>();
  const countValues = (raw: unknown): number => {
    const node = resolveAlias(document, raw);
    const known = sizes.get(node);
    if (known !== undefined) {
      return known;
    }
    // Until it is counted, an anchor that holds itself counts as endless.
    sizes.set(node, Number.POSITIVE_INFINITY);
    let size = 1;
    if (isMap(node)) {
      size += node.items.reduce((total, pair) => total + countValues(pair.value), 0);
    } else if (isSeq(node)) {
      size += node.items.reduce((total: number, item) => total + countValues(item), 0);
    }
    sizes.set(node, size);
    return size;
  };
  return countValues(document.contents) <= MAX_VALUES
    ? undefined
    : buildProblem(
        source,
        0,
        "error",
        `the file holds more than ${MAX_VALUES} values when its aliases are written out, or an anchor that holds itself.`,
      );
}

/** The entries of a mapping with `<<` written out: own keys win over merged ones, earlier merged ones over later. */
function listEntries(document: Document, map: YAMLMap): Map<string, Pair> {
  const entries = new Map<string, Pair>();
  const merged = new Map<string, Pair>();
  for (const pair of map.items) {
    const name = keyName(pair.key);
    if (name !== MERGE_KEY) {
      entries.set(name, pair);
      continue;
    }
    const source = resolveAlias(document, pair.value);
    for (const item of isSeq(source) ? source.items : [source]) {
      const from = resolveAlias(document, item);
      for (const [key, value] of isMap(from) ? listEntries(document, from) : []) {
        if (!merged.has(key)) {
          merged.set(key, value);
        }
      }
    }
  }
  return new Map([...merged, ...entries]);
}

function readValue(document: Document, raw: unknown, seen: Map<unknown, unknown>): unknown {
  const node = resolveAlias(document, raw);
  if (isScalar(node)) {
    return node.value;
  }
  if (seen.has(node)) {
    return seen.get(node);
  }
  let value: unknown = null;
  if (isMap(node)) {
    const entries = [...listEntries(document, node)];
    value = Object.fromEntries(entries.map(([key, pair]) => [key, readValue(document, pair.value, seen)]));
  } else if (isSeq(node)) {
    value = node.items.map((item) => readValue(document, item, seen));
  }
  seen.set(node, value);
  return value;
}

interface Found {
  key: Node | undefined;
  value: Node | undefined;
}

function findNodes(document: Document, root: Node | null, path: Path): Found {
  let found: Found = { key: undefined, value: root ?? undefined };
  for (const step of path) {
    const node = resolveAlias(document, found.value);
    if (isMap(node)) {
      const pair = listEntries(document, node).get(String(step));
      if (pair === undefined) {
        break;
      }
      found = { key: asNode(pair.key), value: asNode(pair.value) };
    } else if (isSeq(node) && typeof step === "number") {
      const item = asNode(node.items[step]);
      if (item === undefined) {
        break;
      }
      found = { key: undefined, value: item };
    } else {
      break;
    }
  }
  return found;
}

function asNode(value: unknown): Node | undefined {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value) ? value : undefined;
}
