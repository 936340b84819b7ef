import { type CallArguments, NO_ARGUMENTS, type ObjectValue, unknown, type Value } from "./value.ts";

/** Makes an instance of a known class; `json` is its form in a schema. */
export function makeObject(type: string, args: CallArguments, json?: string | number | null): Value {
  return { kind: "object", type, args, json };
}

const PATH_TYPES: ReadonlySet<string> = new Set([
  "pathlib.Path",
  "pathlib.PosixPath",
  "pathlib.PurePath",
  "pathlib.PurePosixPath",
]);

const IP_TYPES: ReadonlySet<string> = new Set(
  ["IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface"].map(
    (name) => `ipaddress.${name}`,
  ),
);

/** Instances that are certainly no JSON: a default of theirs is left out of the schema, as pydantic does. */
const WITHOUT_JSON: ReadonlySet<string> = new Set([
  "object",
  "datetime.timezone",
  "logging.getLogger",
  "logging.Logger",
  "prefect.get_run_logger",
  "zoneinfo.ZoneInfo",
  "threading.Lock",
  "threading.Event",
]);

/** What calling a known class gives; null if it is not one that we know. */
export function constructObject(name: string, args: CallArguments): Value | null {
  if (PATH_TYPES.has(name)) return makePath(name, args);
  if (WITHOUT_JSON.has(name)) return makeObject(name, args);
  if (IP_TYPES.has(name)) {
    const text = textArgument(args, 0);
    return text === null ? unknown("its address is not known") : makeObject(name, args, text.toLowerCase());
  }
  switch (name) {
    case "datetime.date":
      return makeDate(args);
    case "datetime.datetime":
      return makeDatetime(args);
    case "datetime.time":
      return makeTime(args);
    case "datetime.timedelta":
      return makeDuration(args);
    case "uuid.UUID":
      return makeUuid(args);
    case "decimal.Decimal":
      return makeDecimal(args);
    case "fractions.Fraction":
      return makeFraction(args);
    case "re.compile": {
      const pattern = textArgument(args, 0);
      return pattern === null ? null : makeObject("re.Pattern", args, pattern);
    }
    case "pydantic.HttpUrl":
    case "pydantic.AnyUrl":
    case "pydantic.AnyHttpUrl": {
      const url = textArgument(args, 0);
      // Only what pydantic leaves as it is.
      return url !== null && /^https?:\/\/[a-z0-9.-]+\/[\w./-]*$/.test(url) ? makeObject(name, args, url) : null;
    }
    case "pydantic.SecretStr": {
      const secret = textArgument(args, 0);
      return makeObject(name, args, secret === "" ? "" : "**********");
    }
    default:
      return null;
  }
}

function textArgument(args: CallArguments, index: number): string | null {
  const value = args.positional[index];
  return value?.kind === "str" ? value.value : null;
}

/** The integers of a call by position or name; null for one that is given but not known. */
function integers(args: CallArguments, names: readonly string[], missing: number): number[] | null {
  const numbers: number[] = [];
  for (const [index, name] of names.entries()) {
    const value = args.positional[index] ?? args.named.get(name);
    if (value === undefined) numbers.push(missing);
    else if (value.kind === "int") numbers.push(Number(value.value));
    else return null;
  }
  return args.isPartial ? null : numbers;
}

const two = (number: number): string => String(number).padStart(2, "0");

function makeDate(args: CallArguments): Value {
  const parts = integers(args, ["year", "month", "day"], 1);
  if (parts === null) return unknown("its date is not known");
  return makeObject("datetime.date", args, isoDate(parts));
}

function isoDate([year = 1, month = 1, day = 1]: readonly number[]): string {
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
}

function isoTime([hour = 0, minute = 0, second = 0, micro = 0]: readonly number[]): string {
  const fraction = micro === 0 ? "" : `.${String(micro).padStart(6, "0")}`;
  return `${two(hour)}:${two(minute)}:${two(second)}${fraction}`;
}

function makeDatetime(args: CallArguments): Value {
  const names = ["year", "month", "day", "hour", "minute", "second", "microsecond"];
  const parts = integers(args, names, 0);
  const zone = zoneSuffix(args.positional[7] ?? args.named.get("tzinfo"));
  if (parts === null || zone === null) return unknown("its time is not known");
  return makeObject("datetime.datetime", args, `${isoDate(parts)}T${isoTime(parts.slice(3))}${zone}`);
}

function makeTime(args: CallArguments): Value {
  const parts = integers(args, ["hour", "minute", "second", "microsecond"], 0);
  const zone = zoneSuffix(args.positional[4] ?? args.named.get("tzinfo"));
  if (parts === null || zone === null) return unknown("its time is not known");
  return makeObject("datetime.time", args, isoTime(parts) + zone);
}

/** `Z` and the like; null if the zone's offset is not known. */
function zoneSuffix(zone: Value | undefined): string | null {
  if (zone === undefined || zone.kind === "none") return "";
  if (zone.kind !== "object" || zone.type !== "datetime.timezone") return null;
  const [offset] = zone.args.positional;
  if (offset?.kind === "int") return "Z";
  const micros = offset === undefined ? null : durationOf(offset);
  if (micros === null) return null;
  const minutes = Number(micros / 60_000_000n);
  const size = Math.abs(minutes);
  return minutes === 0 ? "Z" : `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

const MICROSECONDS: Readonly<Record<string, number>> = {
  days: 86_400_000_000,
  seconds: 1_000_000,
  microseconds: 1,
  milliseconds: 1_000,
  minutes: 60_000_000,
  hours: 3_600_000_000,
  weeks: 604_800_000_000,
};

function microsecondsOf(args: CallArguments): bigint | null {
  let total = 0;
  for (const [index, [name, unit]] of Object.entries(MICROSECONDS).entries()) {
    const value = args.positional[index] ?? args.named.get(name);
    if (value === undefined) continue;
    if (value.kind !== "int" && value.kind !== "float") return null;
    total += Number(value.value) * unit;
  }
  return args.isPartial || !Number.isSafeInteger(Math.round(total)) ? null : BigInt(Math.round(total));
}

function durationOf(value: Value): bigint | null {
  return value.kind === "object" && value.type === "datetime.timedelta" ? microsecondsOf(value.args) : null;
}

function makeDuration(args: CallArguments): Value {
  const micros = microsecondsOf(args);
  return micros === null
    ? unknown("its length is not known")
    : makeObject("datetime.timedelta", args, isoDuration(micros));
}

/** ISO 8601 as pydantic writes it: days are split into years of 365 days. */
function isoDuration(micros: bigint): string {
  const size = micros < 0n ? -micros : micros;
  const [days, rest] = [size / 86_400_000_000n, size % 86_400_000_000n];
  const [years, restDays] = [days / 365n, days % 365n];
  const [hours, minutes] = [rest / 3_600_000_000n, (rest / 60_000_000n) % 60n];
  const seconds = Number(rest % 60_000_000n) / 1_000_000;
  const date = `${years > 0n ? `${years}Y` : ""}${restDays > 0n ? `${restDays}D` : ""}`;
  const time = `${hours > 0n ? `${hours}H` : ""}${minutes > 0n ? `${minutes}M` : ""}${seconds > 0 ? `${seconds}S` : ""}`;
  const text = date === "" && time === "" ? "PT0S" : `P${date}${time === "" ? "" : `T${time}`}`;
  return micros < 0n ? `-${text}` : text;
}

function makeUuid(args: CallArguments): Value {
  const digits = (textArgument(args, 0) ?? "").replaceAll(/^urn:uuid:|[{}-]/g, "").toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(digits)) return unknown("its value is not known");
  return makeObject("uuid.UUID", args, digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"));
}

function makeDecimal(args: CallArguments): Value {
  const [value] = args.positional;
  const text =
    value === undefined
      ? "0"
      : value.kind === "str"
        ? value.value.trim()
        : value.kind === "int"
          ? value.value.toString()
          : "";
  return /^[+-]?\d+(?:\.\d+)?$/.test(text)
    ? makeObject("decimal.Decimal", args, text.replace(/^\+/, ""))
    : unknown("its value is not known");
}

function makeFraction(args: CallArguments): Value {
  const [numerator, denominator] = args.positional;
  if (numerator?.kind === "int" && denominator === undefined)
    return makeObject("fractions.Fraction", args, numerator.value.toString());
  return unknown("its value is not known");
}

function makePath(type: string, args: CallArguments): Value {
  const texts = args.positional.map(pathText);
  return texts.includes(null) || args.isPartial
    ? unknown("its path is not known")
    : makeObject(type, args, joinTexts(texts.map((text) => text ?? "")));
}

function pathText(value: Value): string | null {
  if (value.kind === "str") return value.value;
  return value.kind === "object" && PATH_TYPES.has(value.type) && typeof value.json === "string" ? value.json : null;
}

/** Joins as `pathlib` does: an absolute part starts anew, `.` and empty parts vanish, `..` stays. */
function joinTexts(texts: readonly string[]): string {
  let joined = "";
  for (const text of texts) joined = text.startsWith("/") || joined === "" ? text : `${joined}/${text}`;
  const root = joined.startsWith("/") ? "/" : "";
  const parts = joined.split("/").filter((part) => part !== "" && part !== ".");
  return root + parts.join("/") || ".";
}

export function joinPath(left: ObjectValue, right: Value): Value {
  const [before, after] = [pathText(left), pathText(right)];
  if (!PATH_TYPES.has(left.type) || before === null || after === null) return unknown("its path is not known");
  return makeObject(left.type, NO_ARGUMENTS, joinTexts([before, after]));
}

/** `path.name` and the like; null if it is no attribute that we know. */
export function pathAttribute(object: ObjectValue, name: string): Value | null {
  if (!PATH_TYPES.has(object.type) || typeof object.json !== "string") return null;
  const base = object.json.slice(object.json.lastIndexOf("/") + 1);
  const dot = base.lastIndexOf(".");
  const hasSuffix = dot > 0 && dot < base.length - 1;
  switch (name) {
    case "name":
      return { kind: "str", value: base };
    case "stem":
      return { kind: "str", value: hasSuffix ? base.slice(0, dot) : base };
    case "suffix":
      return { kind: "str", value: hasSuffix ? base.slice(dot) : "" };
    case "parent": {
      const parent = object.json.slice(0, Math.max(0, object.json.lastIndexOf("/")));
      return makeObject(object.type, NO_ARGUMENTS, parent !== "" ? parent : object.json.startsWith("/") ? "/" : ".");
    }
    default:
      return null;
  }
}
