import type { CliContext } from "./context.ts";

/** The person pressed Ctrl-C or Escape at a question. */
export class Cancelled extends Error {
  override readonly name = "Cancelled";
}

/** The person was asked whether to go on, and said no. */
export class Declined extends Error {
  override readonly name = "Declined";
}

/** Loaded only when a terminal asks: 25 ms that a script never pays. */
const loadPrompts = () => import("@clack/prompts");

/** Questions go to stderr, so that stdout stays data. */
const streams = { output: process.stderr };

export interface Choice<T> {
  label: string;
  value: T;
  hint?: string;
}

/** Clack answers with a symbol when the person gave up. */
function isAnswer<T>(value: T): value is Exclude<T, symbol> {
  return typeof value !== "symbol";
}

async function answered<T>(answer: Promise<T>): Promise<Exclude<T, symbol>> {
  const value = await answer;
  if (!isAnswer(value)) {
    throw new Cancelled("cancelled");
  }
  return value;
}

export async function askText(
  message: string,
  options: { initial?: string; validate?: (text: string) => string | undefined } = {},
): Promise<string> {
  const { text } = await loadPrompts();
  const { initial, validate } = options;
  const answer = await answered(
    text({
      message,
      ...streams,
      ...(initial === undefined ? {} : { defaultValue: initial, placeholder: initial }),
      validate: (value) => {
        const given = value === undefined || value === "" ? (initial ?? "") : value;
        return given.trim() === "" ? "An answer is needed." : validate?.(given.trim());
      },
    }),
  );
  return answer.trim();
}

const ANSWERS: ReadonlyMap<string, boolean> = new Map([
  ["y", true],
  ["yes", true],
  ["n", false],
  ["no", false],
]);

/** Ends with Enter, as all other questions do: a question that ends with the letter would leave the Enter to the next. */
export async function askYesNo(message: string, initial: boolean): Promise<boolean> {
  const answer = await askText(`${message} (${initial ? "Y/n" : "y/N"})`, {
    initial: initial ? "y" : "n",
    validate: (text) => (ANSWERS.has(text.toLowerCase()) ? undefined : "Answer y or n."),
  });
  return ANSWERS.get(answer.toLowerCase()) ?? initial;
}

export async function askChoice<T>(message: string, choices: Choice<T>[]): Promise<T> {
  const { select } = await loadPrompts();
  // The prompt carries indexes: its option type does not fit every T.
  const index = await answered(
    select({
      message,
      maxItems: 12,
      options: choices.map(({ label, hint }, value) =>
        hint === undefined ? { label, value } : { label, value, hint },
      ),
      ...streams,
    }),
  );
  const chosen = choices[index];
  if (chosen === undefined) {
    throw new Cancelled("nothing chosen");
  }
  return chosen.value;
}

/** Asks before something is lost, where there is somebody to ask. Throws Declined on no. */
export async function confirmLoss(
  context: CliContext,
  options: { yes?: unknown; acceptYes?: unknown },
  question: string,
): Promise<void> {
  if (!context.interactive || options.yes === true || options.acceptYes === true) {
    return;
  }
  if (!(await askYesNo(question, false))) {
    throw new Declined("not confirmed");
  }
}
