import type { JsonObject } from "../prefect-api/primitives.ts";

/** One thing that is wrong with a request, as pydantic says it: people search for these words. */
export interface Problem {
  type: string;
  loc: (string | number)[];
  msg: string;
  input: unknown;
}

/** A zod issue, as the Fastify validator hands it on or as it is nested in another one. */
interface Issue {
  path: readonly (string | number)[];
  code: string;
  message: string;
  params: JsonObject;
}

/** What the Fastify validator makes of a zod issue. */
export interface ValidationProblem {
  instancePath: string;
  keyword: string;
  message?: string;
  params: JsonObject;
}

const TYPE_NAMES: Record<string, { type: string; article: string }> = {
  string: { type: "string_type", article: "a valid string" },
  number: { type: "float_type", article: "a valid number" },
  int: { type: "int_type", article: "a valid integer" },
  boolean: { type: "bool_type", article: "a valid boolean" },
  array: { type: "list_type", article: "a valid list" },
  object: { type: "model_attributes_type", article: "a valid dictionary or object" },
  record: { type: "dict_type", article: "a valid dictionary" },
};

export function describeProblems(problems: readonly ValidationProblem[], place: string, input: unknown): Problem[] {
  return problems.flatMap(({ instancePath, keyword, message, params }) => {
    const path = instancePath.split("/").filter(Boolean).map(readPathPart);
    return describeIssue({ path, code: keyword, message: message ?? "Invalid value", params }, place, input);
  });
}

/** List positions are numbers in Prefect's `loc`. */
function readPathPart(part: string): string | number {
  return /^\d+$/.test(part) ? Number(part) : part;
}

function describeIssue(issue: Issue, place: string, body: unknown): Problem[] {
  const { path, params } = issue;
  const input = path.reduce(lookUp, body);
  const problem = (type: string, msg: string): Problem[] => [
    { type, loc: [place, ...path], msg, input: input ?? null },
  ];
  switch (issue.code) {
    case "invalid_type":
      return input === undefined
        ? [
            {
              type: "missing",
              loc: [place, ...path],
              msg: "Field required",
              input: path.slice(0, -1).reduce(lookUp, body) ?? null,
            },
          ]
        : describeType(params["expected"], problem);
    case "unrecognized_keys":
      return asTexts(params["keys"]).map((key) => ({
        type: "extra_forbidden",
        loc: [place, ...path, key],
        msg: "Extra inputs are not permitted",
        input: lookUp(input, key) ?? null,
      }));
    case "invalid_value":
      return problem("enum", `Input should be ${asTexts(params["values"]).map(quote).join(", ")}`);
    case "invalid_union":
      return describeUnion(issue, place, body) ?? problem("union_error", issue.message);
    case "invalid_format":
      return problem("string_pattern_mismatch", issue.message);
    case "too_small":
      return problem("greater_than_equal", issue.message);
    case "too_big":
      return problem("less_than_equal", issue.message);
    default:
      return problem("value_error", issue.message);
  }
}

function describeType(expected: unknown, problem: (type: string, msg: string) => Problem[]): Problem[] {
  const name = TYPE_NAMES[String(expected)];
  return name === undefined
    ? problem("type_error", `Input should be ${String(expected)}`)
    : problem(name.type, `Input should be ${name.article}`);
}

/** Of the alternatives the one that fits best is what was meant. */
function describeUnion(issue: Issue, place: string, body: unknown): Problem[] | undefined {
  const branches = Array.isArray(issue.params["errors"]) ? issue.params["errors"].filter(Array.isArray) : [];
  const [best] = branches.toSorted((one, other) => one.length - other.length);
  return best?.flatMap((nested) => {
    if (!isObject(nested) || !Array.isArray(nested["path"])) {
      return [];
    }
    const path = [
      ...issue.path,
      ...nested["path"].filter((part) => typeof part === "string" || typeof part === "number"),
    ];
    const read = { path, code: String(nested["code"]), message: String(nested["message"]), params: nested };
    return describeIssue(read, place, body);
  });
}

function lookUp(value: unknown, key: string | number): unknown {
  if (Array.isArray(value)) {
    return typeof key === "number" ? value[key] : undefined;
  }
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function asTexts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function quote(text: string): string {
  return `'${text}'`;
}
