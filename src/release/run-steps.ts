import { fillServerValues, type ValueSource } from "../prefect-api/server-values.ts";
import { isMapping } from "../prefect-api/templating.ts";
import type { Problem } from "../project/problem.ts";
import type { Step as StepEntry } from "../project/schema.ts";
import { type Environment, fillBareEnvironment, fillStepInputs } from "../project/template.ts";
import type { Path } from "../project/yaml-file.ts";
import { UserError } from "../shared/errors.ts";
import { chooseReference, UNKNOWN } from "./images/planned-image.ts";
import type { Step, StepContext, StepResult } from "./steps/step.ts";
import { normalizeStepPath, type StepTable } from "./steps/step-table.ts";

/** Inputs that are for Prefect, not for the step. */
const RESERVED = ["id", "requires"];

/** A step of the file that is known to exist. */
export interface PlannedStep {
  /** `run_shell_script` */
  name: string;
  path: string;
  at: Path;
  id: string | undefined;
  /** Still templates. */
  inputs: Record<string, unknown>;
  step: Step;
}

type ReportProblem = (at: Path, message: string, hint?: string) => Problem;

/**
 * Checks what can be known before anything runs: one function a step, one that we have, the inputs that it needs.
 * Answers the steps or what is wrong with them.
 */
export function planSteps(
  steps: readonly StepEntry[],
  at: Path,
  table: StepTable,
  report: ReportProblem,
): { planned: PlannedStep[]; problems: Problem[] } {
  const planned: PlannedStep[] = [];
  const problems: Problem[] = [];
  for (const [index, entry] of steps.entries()) {
    const place = [...at, index];
    const [first, ...furtherKeys] = Object.keys(entry);
    if (first === undefined) {
      continue;
    }
    if (furtherKeys.length > 0) {
      const message = `a step has one function, but this one has ${[first, ...furtherKeys].join(" and ")}.`;
      problems.push(report([...place, furtherKeys[0] ?? ""], message, "Start the second one with `- `."));
      continue;
    }
    const path = normalizeStepPath(first);
    const step = table[path];
    const inputs = entry[first] ?? {};
    if (step === undefined) {
      problems.push(report([...place, first], describeUnknownStep(first), describeKnownSteps(table)));
    } else if (!isMapping(inputs)) {
      problems.push(report([...place, first], `the inputs of ${first} must be a mapping.`));
    } else {
      const name = path.split(".").at(-1) ?? path;
      const id = typeof inputs["id"] === "string" ? inputs["id"] : undefined;
      planned.push({ name, path, at: [...place, first], id, inputs, step });
      problems.push(...listInputProblems(step, inputs, [...place, first], report));
    }
  }
  return { planned, problems };
}

function describeUnknownStep(path: string): string {
  return `the step ${path} is a Python function that cannot be run here.`;
}

function describeKnownSteps(table: StepTable): string {
  return `These steps can: ${Object.keys(table).join(", ")}.`;
}

/** What is wrong with inputs that hold no template; the others are looked at when they are filled. */
function listInputProblems(step: Step, inputs: Record<string, unknown>, at: Path, report: ReportProblem): Problem[] {
  const parsed = step.inputs.safeParse(withoutReserved(inputs));
  return (parsed.error?.issues ?? [])
    .filter((issue) => !JSON.stringify(inputs[String(issue.path[0])] ?? "").includes("{{"))
    .map((issue) => {
      const path = issue.path.filter((part) => typeof part !== "symbol");
      const field = path.length === 0 ? "its inputs" : path.join(".");
      const missing = path.length === 1 && inputs[String(path[0])] === undefined;
      return report([...at, ...path], missing ? `${field} is missing.` : `${field}: ${issue.message}.`);
    });
}

function withoutReserved(inputs: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(inputs).filter(([key]) => !RESERVED.includes(key)));
}

export interface StepRun {
  context: StepContext;
  env: Environment;
  values: ValueSource;
  /** Steps with effects that ran already, for any deployment of this deploy. */
  ran: Set<string>;
  /** Nothing with effects is run: its outputs stay unknown. */
  planOnly: boolean;
  progress(message: string): void;
  /** Told what ran, with filled inputs. Mind that they may hold secrets. */
  onStep?: (run: { step: string; inputs: Record<string, unknown>; outputs?: Record<string, unknown> }) => void;
  describePlace(at: Path): string;
}

/** What the steps of one deployment left behind. */
export interface StepOutputs {
  /** Flat, and under the ids of the steps. */
  values: Record<string, unknown>;
  /** Results of the steps of images, in order. */
  images: StepResult[];
}

/** Runs steps in order; the outputs of each are there for the later ones, flat and under its id. Throws STEP_FAILED. */
export async function runSteps(steps: readonly PlannedStep[], outputs: StepOutputs, run: StepRun): Promise<void> {
  for (const planned of steps) {
    run.context.signal.throwIfAborted();
    const result =
      run.planOnly && planned.step.effects === "any" ? skipStep(planned) : await runStep(planned, outputs, run);
    if (planned.id !== undefined) {
      outputs.values[planned.id] = result.outputs;
    }
    Object.assign(outputs.values, result.outputs);
    outputs.images.push(...(result.image === undefined ? [] : [result]));
    run.context.directory = result.directory ?? run.context.directory;
  }
}

/** What stands for an output that is known only once its step has run. */
function skipStep({ name }: PlannedStep): StepResult {
  const unknown = `${UNKNOWN}${name}>`;
  return { outputs: { stdout: unknown, stderr: unknown, directory: unknown } };
}

async function runStep(planned: PlannedStep, outputs: StepOutputs, run: StepRun): Promise<StepResult> {
  try {
    if (planned.step.effects === "any") {
      await carryOutBefore(planned, outputs, run);
    }
    run.progress(`Running ${planned.name} step...`);
    const inputs = await fillInputs(planned, outputs.values, run);
    run.onStep?.({ step: planned.path, inputs });
    const result = await planned.step.run(inputs, run.context);
    run.onStep?.({ step: planned.path, inputs, outputs: result.outputs });
    return result;
  } catch (error) {
    if (run.context.signal.aborted || !(error instanceof Error)) {
      throw error;
    }
    const { hint, code } = error instanceof UserError ? error : { hint: undefined, code: undefined };
    throw new UserError(
      code ?? "STEP_FAILED",
      `${run.describePlace(planned.at)}The step ${planned.name} failed: ${error.message}`,
      { cause: error, ...(hint === undefined ? {} : { hint }) },
    );
  }
}

/**
 * A step with effects may run the deployment's own images, and may change files that images of others are still to be
 * built from: both are built before it. The same step again, with the same inputs, has changed what it changes already:
 * that is how deployments that share their build section have their images built together.
 */
async function carryOutBefore(planned: PlannedStep, outputs: StepOutputs, run: StepRun): Promise<void> {
  const { images, directory } = run.context;
  const inputs = await fillInputs(planned, outputs.values, run);
  const key = `${planned.path} ${directory} ${canonicalText(inputs)}`;
  const runsOwn = outputs.images.length > 0;
  if (images.hasPending() && (runsOwn || !run.ran.has(key))) {
    await images.carryOut(runsOwn);
    settleOutputs(outputs);
  }
  run.ran.add(key);
  images.forgetContexts();
}

/** Fills in what is known of images only once they are there. */
export function settleOutputs({ values, images }: StepOutputs): void {
  for (const { outputs, image } of images) {
    if (image !== undefined && "image_id" in outputs) {
      const reference = describePins(image).at(0)?.[1];
      outputs["image_id"] = image.planned.imageId ?? reference;
      values["image_id"] = outputs["image_id"];
    }
  }
}

/** `name:tag` as steps say it → what a deployment is to run of that image. */
export function listPins({ images }: StepOutputs): Map<string, string> {
  return new Map(images.flatMap(({ image }) => (image === undefined ? [] : describePins(image))));
}

function describePins({ planned, name, tags }: NonNullable<StepResult["image"]>): [string, string][] {
  const found = planned.names.get(name);
  return found === undefined ? [] : tags.map((tag) => [`${name}:${tag}`, chooseReference(planned, found, tag)]);
}

async function fillInputs(
  planned: PlannedStep,
  outputs: Record<string, unknown>,
  run: StepRun,
): Promise<Record<string, unknown>> {
  const withOutputs = fillStepInputs(withoutReserved(planned.inputs), outputs, run.env);
  const filled = fillBareEnvironment(await fillServerValues(withOutputs, run.values), run.env);
  return isMapping(filled) ? filled : {};
}

/** JSON with sorted keys. */
function canonicalText(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    isMapping(item) ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1))) : item,
  );
}
