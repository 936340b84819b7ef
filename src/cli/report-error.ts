import { readFileSync } from "node:fs";
import { CommanderError } from "commander";
import { buildSourceText } from "../project/source-text.ts";
import { type SourceLocation, TransientError, UserError } from "../shared/errors.ts";
import { Cancelled, Declined } from "./ask.ts";
import type { Output } from "./output.ts";

const EXIT_FAILURE = 1;
const EXIT_BUG = 70; // sysexits EX_SOFTWARE
const EXIT_INTERRUPTED = 130;

/** The lines around a place, for errors whose message does not show them itself. */
function frameOf(location: SourceLocation): string {
  try {
    const text = readFileSync(location.file, "utf8");
    const lineStart = text.split("\n", location.line - 1).reduce((sum, line) => sum + line.length + 1, 0);
    return buildSourceText(location.file, text).frame(lineStart + location.column - 1);
  } catch {
    return "";
  }
}

/** Behind the message: what to look up in docs/errors.md. */
function showCode(output: Output, { code }: { code: string }): string {
  return output.paint("dim", ` [${code}]`, "stderr");
}

function reportUserError(output: Output, error: UserError): void {
  const { location, message, hint } = error;
  const place = location === undefined ? "" : `${location.file}:${location.line}:${location.column}`;
  const alreadyPlaced = location === undefined || message.includes(`${location.file}:${location.line}`);
  output.error(`Error: ${alreadyPlaced ? "" : `${place}: `}${message}${showCode(output, error)}`);
  const frame = location === undefined || alreadyPlaced ? "" : frameOf(location);
  if (frame !== "") {
    output.say(frame);
  }
  if (hint !== undefined) {
    output.say(`Hint: ${hint}`);
  }
}

/**
 * Ends an error: says it once and answers with the exit code. 1 for what the user or the outside world can mend (usage
 * included, as Prefect's CLI does), 70 for a bug of ours, 130 when the person stopped it.
 */
export function reportError(output: Output, error: unknown): number {
  if (error instanceof UserError) {
    reportUserError(output, error);
    return EXIT_FAILURE;
  }
  if (error instanceof TransientError) {
    output.error(`Error: ${error.message}${showCode(output, error)}`);
    return EXIT_FAILURE;
  }
  if (error instanceof Cancelled) {
    output.say("Cancelled.");
    return EXIT_INTERRUPTED;
  }
  if (error instanceof Declined) {
    output.say("Nothing was changed.");
    return EXIT_FAILURE;
  }
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? 0 : EXIT_FAILURE;
  }
  output.error("This is a bug in Flowyard. Please report it with the command you ran and these lines:");
  output.say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  for (let cause = error instanceof Error ? error.cause : undefined; cause instanceof Error; cause = cause.cause) {
    output.say(`caused by ${cause.stack ?? cause.message}`);
  }
  return EXIT_BUG;
}
