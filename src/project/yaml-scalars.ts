import type { ScalarTag } from "yaml";

/**
 * Plain scalars as PyYAML's `safe_load` reads them (YAML 1.1 with its own details: `yes` is true but `y` is text, `1e3` is
 * text, `017` is octal, `12:30:00` counts in base sixty). The `yaml` package's own 1.1 schema differs in each of these.
 * Dates become ISO text, because that is what Prefect sends of them.
 */

const TRUE_WORDS = /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const BOOLEAN = /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/;
const NULL = /^(?:~|null|Null|NULL|)$/;
const INTEGER = /^[-+]?(?:0b[0-1_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*(?::[0-5]?[0-9])*)$/;
const FLOAT =
  /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|[-+]?\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;
const TIMESTAMP =
  /^(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(Z|([-+])(\d\d?)(?::(\d\d))?))?)?$/;

function baseSixty(digits: string): number {
  return digits.split(":").reduce((total, part) => total * 60 + Number(part), 0);
}

function readInteger(source: string): number {
  const text = source.replaceAll("_", "");
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = text.replace(/^[-+]/, "");
  if (digits.startsWith("0b") || digits.startsWith("0x")) {
    return sign * Number(digits);
  }
  if (digits.includes(":")) {
    return sign * baseSixty(digits);
  }
  return sign * (digits.length > 1 && digits.startsWith("0") ? Number.parseInt(digits, 8) : Number(digits));
}

function readFloat(source: string): number {
  const text = source.replaceAll("_", "").toLowerCase();
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = text.replace(/^[-+]/, "");
  if (digits === ".inf") {
    return sign * Number.POSITIVE_INFINITY;
  }
  if (digits === ".nan") {
    return Number.NaN;
  }
  return sign * (digits.includes(":") ? baseSixty(digits) : Number(digits));
}

function readTimestamp(source: string): string {
  const [, year = "", month = "", day = "", hour, minute, second, fraction, zone, sign, zoneHour = "", zoneMinute] =
    TIMESTAMP.exec(source) ?? [];
  const date = `${year}-${month.padStart(2, "0")}-${day.padStart(2, "0")}`;
  if (hour === undefined) {
    return date;
  }
  const micros = fraction === undefined || Number(fraction) === 0 ? "" : `.${fraction.slice(0, 6).padEnd(6, "0")}`;
  const offset = sign === undefined ? (zone ?? "") : `${sign}${zoneHour.padStart(2, "0")}:${zoneMinute ?? "00"}`;
  return `${date}T${hour.padStart(2, "0")}:${minute}:${second}${micros}${offset}`;
}

function scalarTag(name: string, test: RegExp, resolve: (source: string) => unknown): ScalarTag {
  return { tag: `tag:yaml.org,2002:${name}`, default: true, test, resolve };
}

export const PYYAML_SCALARS: ScalarTag[] = [
  scalarTag("null", NULL, () => null),
  scalarTag("bool", BOOLEAN, (source) => TRUE_WORDS.test(source)),
  scalarTag("int", INTEGER, readInteger),
  scalarTag("float", FLOAT, readFloat),
  scalarTag("timestamp", TIMESTAMP, readTimestamp),
];
