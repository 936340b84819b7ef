import type { Expression, FormatPart } from "./syntax.ts";
import { str, unknown, type Value } from "./value.ts";

/** An f-string. */
export function formatParts(parts: readonly FormatPart[], evaluate: (expression: Expression) => Value): Value {
  let result = "";
  for (const part of parts) {
    if (part.kind === "text") {
      result += part.text;
      continue;
    }
    const value = evaluate(part.value);
    const spec = formatParts(part.format, evaluate);
    const text = spec.kind === "str" ? formatOne(value, part.conversion, spec.value) : null;
    if (text === null) return unknown("a part of it is not known");
    result += part.label + text;
  }
  return str(result);
}

function formatOne(value: Value, conversion: string, spec: string): string | null {
  if (conversion === "r" || conversion === "a") {
    const text = reprOf(value);
    return text === null ? null : formatValue(str(text), spec);
  }
  return formatValue(conversion === "s" ? strOf(value) : value, spec);
}

function strOf(value: Value): Value {
  const text = textOf(value);
  return text === null ? unknown("its text is not known") : str(text);
}

/** Python's `str(x)`; null if that cannot be told. */
export function textOf(value: Value): string | null {
  if (value.kind === "str") return value.value;
  if (value.kind === "member" && /^(?:str|enum\.StrEnum)$/.test(knownBase(value) ?? "")) return null;
  if (value.kind === "object" && typeof value.json === "string" && isPathLike(value.type)) return value.json;
  return reprOf(value);
}

function knownBase(value: Extract<Value, { kind: "member" }>): string | null {
  const base = value.type.bases.find((one) => one.kind === "known");
  return base?.kind === "known" ? base.name : null;
}

function isPathLike(type: string): boolean {
  return /^(?:pathlib\.|uuid\.UUID|decimal\.Decimal|datetime\.date$)/.test(type);
}

/** Python's `repr(x)`; null if that cannot be told. */
export function reprOf(value: Value): string | null {
  switch (value.kind) {
    case "none":
      return "None";
    case "ellipsis":
      return "Ellipsis";
    case "bool":
      return value.value ? "True" : "False";
    case "int":
      return value.value.toString();
    case "float":
      return formatFloat(value.value);
    case "str":
      return reprOfText(value.value);
    case "list":
    case "tuple": {
      const items = value.items.map(reprOf);
      if (items.includes(null)) return null;
      if (value.kind === "list") return `[${items.join(", ")}]`;
      return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
    }
    case "dict": {
      const entries = value.entries.map((entry) => [reprOf(entry.key), reprOf(entry.value)]);
      return entries.flat().includes(null) ? null : `{${entries.map(([key, one]) => `${key}: ${one}`).join(", ")}}`;
    }
    case "class":
      return null;
    default:
      return null;
  }
}

function reprOfText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text
    .replaceAll("\\", "\\\\")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t")
    .replaceAll(quote, `\\${quote}`);
  return quote + body + quote;
}

/** Python's text of a float: `1.0`, `1e-05`, `1e+16`. */
export function formatFloat(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e16 || size < 1e-4)) {
    const [digits, exponent] = value.toExponential().split("e");
    const number = Number(exponent);
    return `${digits}e${number < 0 ? "-" : "+"}${String(Math.abs(number)).padStart(2, "0")}`;
  }
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

const SPEC = /^(?:(.)?([<>^=]))?([+\- ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/u;

/** `format(value, spec)` for numbers and text; null if it is not known. */
export function formatValue(value: Value, spec: string): string | null {
  if (spec === "") return textOf(value);
  const match = SPEC.exec(spec);
  if (match === null || match[4] !== undefined) return null;
  const [, fill, align, sign, , zero, width, separator, precision, type] = match;
  if (Number(width ?? 0) > 10_000 || Number(precision ?? 0) > 100) return null;
  const digits = precision === undefined ? null : Number(precision);
  const isNumber = value.kind === "int" || value.kind === "float";
  let text = isNumber
    ? formatNumber(value, type ?? "", digits, separator ?? "")
    : value.kind === "str"
      ? value.value.slice(0, digits ?? undefined)
      : null;
  if (text === null) return null;
  if (isNumber && sign !== undefined && sign !== "-" && !text.startsWith("-")) text = sign + text;
  const padding = Math.max(0, Number(width ?? 0) - [...text].length);
  const filler = fill ?? (zero === undefined ? " " : "0");
  const side = align ?? (zero === undefined ? (isNumber ? ">" : "<") : isNumber ? "=" : "<");
  return pad(text, filler.repeat(padding), side);
}

function pad(text: string, padding: string, side: string): string {
  if (side === "<") return text + padding;
  if (side === "=") return /^[+\- ]/.test(text) ? text.slice(0, 1) + padding + text.slice(1) : padding + text;
  if (side !== "^") return padding + text;
  const half = Math.floor(padding.length / 2);
  return padding.slice(0, half) + text + padding.slice(half);
}

function formatNumber(
  value: Extract<Value, { kind: "int" | "float" }>,
  type: string,
  precision: number | null,
  separator: string,
): string | null {
  const number = value.value;
  if (type === "%") return `${(Number(number) * 100).toFixed(precision ?? 6)}%`;
  if (type === "f" || type === "F") return group(Number(number).toFixed(precision ?? 6), separator);
  if (typeof number === "bigint") {
    const radix = { b: 2, o: 8, x: 16, X: 16 }[type];
    if (radix !== undefined) return type === "X" ? number.toString(radix).toUpperCase() : number.toString(radix);
    return (type === "" || type === "d" || type === "n") && precision === null
      ? group(number.toString(), separator)
      : null;
  }
  return type === "" && precision === null ? group(formatFloat(number), separator) : null;
}

function group(text: string, separator: string): string {
  if (separator === "") return text;
  const [whole = "", fraction] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, separator);
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** `"%s-%d" % args` with plain conversions. */
export function formatPercent(template: string, args: Value): Value {
  const values = args.kind === "tuple" ? [...args.items] : [args];
  let isKnown = true;
  const text = template.replace(/%(.)/g, (_, type: string) => {
    if (type === "%") return "%";
    const value = values.shift();
    const shown =
      value === undefined
        ? null
        : type === "r"
          ? reprOf(value)
          : type === "s" || (type === "d" && value.kind === "int")
            ? textOf(value)
            : null;
    isKnown &&= shown !== null;
    return shown ?? "";
  });
  return isKnown && values.length === 0 ? str(text) : unknown("its text is not known");
}

/** `"{} {name}".format(…)` with plain fields. */
export function formatTemplate(
  template: string,
  positional: readonly Value[],
  named: ReadonlyMap<string, Value>,
): Value {
  let index = 0;
  let isKnown = true;
  const text = template.replace(
    /\{\{|\}\}|\{([^{}:!]*)(?::([^{}]*))?\}/g,
    (whole, field: string | undefined, spec: string | undefined) => {
      if (whole === "{{" || whole === "}}") return whole.slice(1);
      const key = field === undefined || field === "" ? String(index++) : field;
      const value = /^\d+$/.test(key) ? positional[Number(key)] : named.get(key);
      const shown = value === undefined ? null : formatValue(value, spec ?? "");
      isKnown &&= shown !== null;
      return shown ?? "";
    },
  );
  return isKnown && !/[{}]/.test(text) ? str(text) : unknown("its text is not known");
}
