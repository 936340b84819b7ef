import { type Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../shared/errors.ts";

/** `--json`, and Prefect's spelling of it. */
export function addJsonOption(command: Command): Command {
  return command
    .option("--json", "print JSON")
    .addOption(new Option("-o, --output <format>", "the same as --json").choices(["json"]));
}

export function wantsJson(options: { json?: unknown; output?: unknown }): boolean {
  return options.json === true || options.output === "json";
}

export function addConfirmOption(command: Command): Command {
  return command.option("-y, --yes", "do it without asking").option("--accept-yes", "the same as --yes");
}

/** Parser of an option that may be given several times. */
export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

export function parseWholeNumber(minimum: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^-?\d+$/.test(text.trim()) || !Number.isSafeInteger(number) || number < minimum) {
      throw new InvalidArgumentError(`It must be a whole number, ${minimum} or more.`);
    }
    return number;
  };
}

export function parseName(text: string): string {
  if (text.trim() === "") {
    throw new InvalidArgumentError("It must not be empty.");
  }
  return text;
}

export function parseSeconds(text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number) || number <= 0) {
    throw new InvalidArgumentError("It must be a number of seconds above 0.");
  }
  return number;
}

/** The value as JSON when it is JSON, else as text: `n=3` is a number, `name=Anna` a text. */
function parseLooseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** `key=value` pairs of a repeated option. Throws UserError USAGE naming the option. */
export function parseKeyValues(pairs: string[], optionName: string): Record<string, unknown> {
  const entries = pairs.map((pair): [string, unknown] => {
    const at = pair.indexOf("=");
    if (at < 1) {
      throw new UserError("USAGE", `${optionName} is "${pair}", which is not key=value.`);
    }
    return [pair.slice(0, at), parseLooseJson(pair.slice(at + 1))];
  });
  return Object.fromEntries(entries);
}

/** A JSON object given as text. Throws UserError USAGE naming the option. */
export function parseJsonObject(text: string, optionName: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new UserError("USAGE", `${optionName} is not JSON: ${cause instanceof Error ? cause.message : cause}.`, {
      hint: `Write it like ${optionName} '{"name": "value"}'.`,
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UserError("USAGE", `${optionName} must be a JSON object, and is ${text}.`);
  }
  return Object.fromEntries(Object.entries(value));
}
