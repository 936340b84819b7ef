/**
 * Prefect's `{{ }}` language of prefect.yaml and base job templates (source: prefect/utilities/templating.py, read, and
 * surface §5.1 as seen on 3.9.1). Pure: whoever calls fetches blocks and variables first and passes look-ups.
 */

const PLACEHOLDER = /\{\{\s*([\w.\-[\]$]+)\s*\}\}/g;

export type PlaceholderKind = "standard" | "environment" | "block" | "variable" | "context";

export interface Placeholder {
  /** The text as written, braces included. */
  text: string;
  name: string;
  kind: PlaceholderKind;
}

const BLOCK_PREFIX = "prefect.blocks.";
const VARIABLE_PREFIX = "prefect.variables.";

function placeholderKind(name: string): PlaceholderKind {
  if (name.startsWith("$")) {
    return "environment";
  }
  if (name.startsWith(BLOCK_PREFIX)) {
    return "block";
  }
  if (name.startsWith(VARIABLE_PREFIX)) {
    return "variable";
  }
  return name.startsWith("ctx.") ? "context" : "standard";
}

export function findPlaceholders(text: string): Placeholder[] {
  return [...text.matchAll(PLACEHOLDER)].map((match) => {
    const name = match[1] ?? "";
    return { text: match[0], name, kind: placeholderKind(name) };
  });
}

/** Every placeholder of a whole JSON value, in reading order; mapping keys are never templates. */
export function listPlaceholders(value: unknown): Placeholder[] {
  if (typeof value === "string") {
    return findPlaceholders(value);
  }
  if (Array.isArray(value)) {
    return value.flatMap(listPlaceholders);
  }
  return isMapping(value) ? Object.values(value).flatMap(listPlaceholders) : [];
}

/** What a look-up answers for one placeholder. */
export type Substitution =
  /** Put this value there; in the middle of text it is written as Python's `str()` would. */
  | { value: unknown }
  /** There is no such value: a key or list item that is only this placeholder goes; in text it becomes empty. */
  | "missing"
  /** Not ours to fill in now: the text stays as it is. */
  | "keep";

type LookUp = (placeholder: Placeholder) => Substitution;

const REMOVED = Symbol("removed");

/**
 * Fills every placeholder of a JSON value in one pass; what a placeholder brings in is not searched again (3.9).
 * A value that is exactly one placeholder keeps the type of what it stands for. Answers undefined when the whole
 * value was one missing placeholder.
 */
export function fillTemplate(template: unknown, lookUp: LookUp): unknown {
  const filled = fill(template, lookUp);
  return filled === REMOVED ? undefined : filled;
}

function fill(template: unknown, lookUp: LookUp): unknown {
  if (typeof template === "string") {
    return fillText(template, lookUp);
  }
  if (Array.isArray(template)) {
    return template.map((item) => fill(item, lookUp)).filter((item) => item !== REMOVED);
  }
  if (isMapping(template)) {
    const entries = Object.entries(template).map(([key, value]) => [key, fill(value, lookUp)] as const);
    return Object.fromEntries(entries.filter(([, value]) => value !== REMOVED));
  }
  return template;
}

function fillText(text: string, lookUp: LookUp): unknown {
  const placeholders = findPlaceholders(text);
  const [first] = placeholders;
  if (first === undefined) {
    return text;
  }
  if (placeholders.length === 1 && first.text === text && first.kind !== "environment") {
    const substitution = lookUp(first);
    if (substitution === "keep") {
      return text;
    }
    return substitution === "missing" ? REMOVED : substitution.value;
  }
  return replacePlaceholders(text, lookUp);
}

function replacePlaceholders(text: string, lookUp: LookUp): string {
  let at = 0;
  let result = "";
  for (const match of text.matchAll(PLACEHOLDER)) {
    const name = match[1] ?? "";
    const substitution = lookUp({ text: match[0], name, kind: placeholderKind(name) });
    result += text.slice(at, match.index) + substitutionText(match[0], substitution);
    at = match.index + match[0].length;
  }
  return result + text.slice(at);
}

function substitutionText(placeholder: string, substitution: Substitution): string {
  if (substitution === "keep") {
    return placeholder;
  }
  return substitution === "missing" ? "" : pythonText(substitution.value);
}

/** `str()` of a JSON value as Python writes it: `True`, `None`, `{'a': 1}`. */
export function pythonText(value: unknown): string {
  return typeof value === "string" ? value : pythonRepr(value);
}

function pythonRepr(value: unknown): string {
  if (typeof value === "string") {
    const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
    const escaped = value
      .replaceAll("\\", "\\\\")
      .replaceAll("\n", "\\n")
      .replaceAll("\r", "\\r")
      .replaceAll("\t", "\\t");
    return `${quote}${quote === "'" ? escaped.replaceAll("'", "\\'") : escaped}${quote}`;
  }
  if (typeof value === "boolean") {
    return value ? "True" : "False";
  }
  if (value === null || value === undefined) {
    return "None";
  }
  if (Array.isArray(value)) {
    return `[${value.map(pythonRepr).join(", ")}]`;
  }
  if (isMapping(value)) {
    const items = Object.entries(value).map(([key, item]) => `${pythonRepr(key)}: ${pythonRepr(item)}`);
    return `{${items.join(", ")}}`;
  }
  return String(value);
}

/** Walks `a.b[0].c` through nested mappings and lists; a mapping that has the whole dotted name as a key wins. */
export function findByPath(values: unknown, path: string): unknown {
  if (isMapping(values) && Object.hasOwn(values, path)) {
    return values[path];
  }
  const steps = path.split(".").flatMap((part) => part.split("[").map((step) => step.replace(/\]$/, "")));
  let current = values;
  for (const step of steps.filter((text) => text !== "")) {
    if (Array.isArray(current) && /^-?\d+$/.test(step)) {
      current = current.at(Number(step));
    } else if (isMapping(current) && Object.hasOwn(current, step)) {
      current = current[step];
    } else {
      return undefined;
    }
  }
  return current;
}

export interface BlockReference {
  typeSlug: string;
  name: string;
  /** What follows the block's name, as `a.b[0]`; empty when the whole block is meant. */
  attribute: string;
}

/** Reads `prefect.blocks.<type-slug>.<name>[.attribute…]`; undefined when a part is missing. */
export function parseBlockReference(name: string): BlockReference | undefined {
  const match = /^prefect\.blocks\.([^.]+)\.([^.[]+)(?:\.?(.*))$/.exec(name);
  const [, typeSlug, blockName, attribute = ""] = match ?? [];
  return typeSlug === undefined || blockName === undefined ? undefined : { typeSlug, name: blockName, attribute };
}

export function parseVariableReference(name: string): string | undefined {
  return name.startsWith(VARIABLE_PREFIX) ? name.slice(VARIABLE_PREFIX.length) : undefined;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
