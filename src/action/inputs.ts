import { z } from "zod";
import type { Prune } from "../flowyard-api/releases.ts";
import { suggestNearest } from "../project/did-you-mean.ts";
import { UserError } from "../shared/errors.ts";

const SAID_PRUNE = ["keep", "pause", "delete"] as const satisfies readonly Prune[];
const RELEASE_NAME = /^[0-9a-fA-F-]{1,64}$/;
const DEPLOYMENT_NAME = /^[^/\r\n]+\/[^/\r\n]+$/;
const BUILD_ARG = /^[A-Za-z_][A-Za-z0-9_]*=/;
const MAX_TIMEOUT_SECONDS = 5 * 86_400; // a job on a self-hosted runner lasts five days at most

/** One entry a line; blank lines do not count. */
const Lines = z
  .string()
  .default("")
  .transform((text) => splitLines(text));
/** One entry a line, or separated by commas. */
const Names = z
  .string()
  .default("")
  .transform((text) => splitLines(text).flatMap((line) => splitCommas(line)));
const Text = z
  .string()
  .default("")
  .transform((text) => (text.trim() === "" ? undefined : text.trim()));
const Flag = z
  .string()
  .default("")
  .transform((text) => text.trim().toLowerCase())
  .pipe(z.enum(["", "true", "false"], { error: "must be true or false" }));

/** A flag with what it is when nothing is said. */
function flagWithDefault(value: boolean) {
  return Flag.transform((word) => (word === "" ? value : word === "true"));
}

function splitLines(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function splitCommas(line: string): string[] {
  return line
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

const Seconds = z
  .string()
  .default("")
  .transform((text, context) => parseSeconds(text.trim(), context));

const SECONDS_PER_UNIT: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600 };

function parseSeconds(text: string, context: z.RefinementCtx): number | undefined {
  if (text === "") {
    return undefined;
  }
  const match = /^(\d+)([smh]?)$/.exec(text);
  const seconds = Number(match?.[1]) * (SECONDS_PER_UNIT[match?.[2] ?? ""] ?? Number.NaN);
  if (!(seconds > 0 && seconds <= MAX_TIMEOUT_SECONDS)) {
    context.addIssue("must be a time such as 90, 30s, 15m or 2h, five days at most");
    return undefined;
  }
  return seconds;
}

const Parameters = z
  .string()
  .default("")
  .transform((text, context): Record<string, unknown> | undefined => {
    if (text.trim() === "") {
      return undefined;
    }
    const parsed = z.record(z.string(), z.unknown()).safeParse(parseJson(text));
    if (!parsed.success) {
      context.addIssue('must be a JSON object, such as {"days": 3}');
      return undefined;
    }
    return parsed.data;
  });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const MODES = ["auto", "deploy", "plan", "run", "drift", "rollback", "remove-preview"] as const;

const InputMeta = z.object({ description: z.string(), written: z.string() });
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is GitHub's expression
const JOB_TOKEN = "${{ github.token }}";

/** A schema with what action.yml says about the input. */
function input<S extends z.ZodType>(description: string, schema: S, written = ""): S {
  return schema.meta({ description, written });
}

/**
 * Every input of the action. `action.yml` and the table in docs/action.md are held equal to it by a contract test.
 * Runners hand over every declared input, empty when it is not given.
 */
const Given = z.strictObject({
  "server-url": input(
    "API of the Flowyard plane or Prefect server, such as https://flows.example.org/api. Default: the variable PREFECT_API_URL.",
    Text.pipe(z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).optional()),
  ),
  "api-key": input("Key for the server, sent as bearer token. Default: the variable PREFECT_API_KEY.", Text),
  "auth-string": input(
    "Basic auth for the server, user:password; wins over api-key. Default: PREFECT_API_AUTH_STRING.",
    Text,
  ),
  environment: input(
    "Environment that is released into. Default: production.",
    Text.pipe(z.string().max(100, "must have at most 100 characters").optional()),
  ),
  "prefect-file": input(
    "Project file; several, one a line, or a glob such as pipelines/*/prefect.yaml. Default: prefect.yaml.",
    Lines,
  ),
  deployments: input(
    "Deployments to take, by name, flow/name or pattern with *; lines or commas. Default: all of the file.",
    Names,
  ),
  mode: input(
    "What to do: auto (what the event asks for), deploy, plan, run, drift, rollback or remove-preview. An explicit mode overrides the event where that is safe.",
    z
      .string()
      .default("")
      .transform((text) => text.trim() || "auto")
      .pipe(z.enum(MODES, { error: `must be one of ${MODES.join(", ")}` })),
    "auto",
  ),
  preview: input(
    "Give every pull request of this repository a preview: an environment pr-<number> with deployments of its own that start nothing by themselves, removed when it closes.",
    flagWithDefault(false),
    "false",
  ),
  release: input(
    "Release that mode rollback goes back to: its id, its number or its commit. Default: the one before the live one.",
    Text.refine((text) => text === undefined || RELEASE_NAME.test(text), "must be an id, a number or a commit"),
  ),
  "only-changed": input(
    "Leave projects alone in whose folder nothing changed since the commit that is live.",
    flagWithDefault(false),
    "false",
  ),
  adopt: input(
    "Take over deployments that were made by hand or by another repository, instead of reporting a conflict.",
    flagWithDefault(false),
    "false",
  ),
  prune: input(
    "What happens to deployments that this project owns and no longer has: false, pause, or delete (after a release that paused them). Default: pause, and false when only some deployments are selected.",
    z
      .string()
      .default("")
      .transform((text) => text.trim())
      .transform((text) => (text === "" ? undefined : text === "false" ? "keep" : text))
      .pipe(z.enum(SAID_PRUNE, { error: "must be false, pause or delete" }).optional()),
  ),
  "plan-hash": input("Deploy only if the plan still has this hash; of several project files one hash each.", Names),
  push: input(
    "Push every image that is built, also where the project has no push step for it.",
    flagWithDefault(false),
    "false",
  ),
  platforms: input(
    "Platforms of the images, such as linux/amd64,linux/arm64; more than one needs docker buildx.",
    Names,
  ),
  "cache-from": input("Build caches to read, one a line, as docker buildx takes them.", Lines),
  "cache-to": input("Build caches to write, one a line, as docker buildx takes them.", Lines),
  "build-args": input(
    "Build arguments for every image, NAME=value, one a line.",
    Lines.refine((lines) => lines.every((line) => BUILD_ARG.test(line)), "must hold NAME=value, one a line"),
  ),
  registry: input("Registry that registry-username and registry-password are for.", Text),
  "registry-username": input("User of the registry. Default: Docker's config.json.", Text),
  "registry-password": input("Password or token of the registry.", Text),
  "work-pool": input("Work pool of deployments that name none.", Text),
  run: input(
    "Deployment to start, flow/name. With mode auto the step then runs it and deploys nothing.",
    Text.refine((name) => name === undefined || DEPLOYMENT_NAME.test(name), "must be flow/name"),
  ),
  parameters: input("Parameters of that run, a JSON object.", Parameters),
  wait: input(
    "Wait until the run has ended, show its log, and fail unless it COMPLETED.",
    flagWithDefault(true),
    "true",
  ),
  timeout: input(
    "How long to wait for the run: 90, 30s, 15m, 2h. The run goes on when it is over. Default: no limit.",
    Seconds,
  ),
  comment: input("Keep one comment on the pull request up to date.", flagWithDefault(true), "true"),
  "github-token": input("Token for comments, checks and GitHub deployments.", Text, JOB_TOKEN),
  "fail-on-drift": input(
    "Fail the step when somebody changed a deployment by hand since the last release.",
    flagWithDefault(false),
    "false",
  ),
  "deployment-names": input("As deployments; the name of PrefectHQ/actions-prefect-deploy.", Names),
  "deployment-file-path": input("As prefect-file; the name of PrefectHQ/actions-prefect-deploy.", Text),
  "all-deployments": input("As leaving deployments out; from PrefectHQ/actions-prefect-deploy.", Flag),
  "requirements-file-paths": input(
    "Ignored: no Python is needed to deploy. From PrefectHQ/actions-prefect-deploy.",
    Text,
  ),
  "pyproject-toml-path": input("Ignored: no Python is needed to deploy. From PrefectHQ/actions-prefect-deploy.", Text),
});
type Given = z.output<typeof Given>;

/** Name, description and default as `action.yml` has them. */
export const INPUT_TABLE = Object.entries(Given.shape).map(([name, schema]) => {
  const { description, written } = InputMeta.parse(schema.meta());
  return { name, description, default: written };
});

/** Inputs whose values are masked before anything else happens. */
export const SECRET_INPUTS = ["api-key", "auth-string", "registry-password", "github-token"] as const;

export interface Inputs extends Omit<Given, "deployment-names" | "deployment-file-path" | "all-deployments"> {
  /** Empty: all. */
  deployments: string[];
  /** What should be told about the inputs themselves. */
  notices: string[];
}

/** The raw inputs out of the runner's environment, `INPUT_SERVER-URL` and so on; hyphens stay. */
export function readInputs(environment: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([variable, value]): [string, string][] => {
      const name = /^INPUT_(.+)$/.exec(variable)?.[1]?.toLowerCase();
      return name === undefined || value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Throws UserError INPUT_INVALID naming every input that is wrong. */
export function parseInputs(raw: Record<string, string>): Inputs {
  const parsed = Given.safeParse(raw);
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => describeIssue(issue, raw));
    throw new UserError("INPUT_INVALID", problems.join("\n"), { hint: "docs/action.md lists every input." });
  }
  return settle(parsed.data);
}

function describeIssue(issue: z.core.$ZodIssue, raw: Record<string, string>): string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `There is no input "${key}".${suggestNearest(key, Object.keys(Given.shape))}`);
  }
  const name = String(issue.path[0]);
  const isSecret = SECRET_INPUTS.some((secret) => secret === name);
  const shown = isSecret ? "" : ` is ${JSON.stringify((raw[name] ?? "").slice(0, 200))}: it`;
  return [`The input ${name}${shown} ${issue.message}.`];
}

/** Settles what several inputs say about the same thing. */
function settle(given: Given): Inputs {
  const { "deployment-names": names, "deployment-file-path": file, "all-deployments": all, ...inputs } = given;
  const notices: string[] = [];
  for (const name of ["requirements-file-paths", "pyproject-toml-path"] as const) {
    if (given[name] !== undefined) {
      notices.push(`The input ${name} is ignored: deploying reads the flows without running Python.`);
    }
  }
  if (names.length > 0 && inputs.deployments.length > 0) {
    throw new UserError(
      "INPUT_INVALID",
      "The inputs deployments and deployment-names are both given; keep deployments.",
    );
  }
  if (file !== undefined && inputs["prefect-file"].length > 0) {
    throw new UserError(
      "INPUT_INVALID",
      "The inputs prefect-file and deployment-file-path are both given; keep prefect-file.",
    );
  }
  if (inputs.run === undefined && inputs.mode === "run") {
    // A dispatch may name the deployment in its payload.
    notices.push("mode is run, and the input run names no deployment: the payload of the event has to.");
  }
  if (inputs.run !== undefined && !["auto", "run"].includes(inputs.mode)) {
    throw new UserError(
      "INPUT_INVALID",
      `The input run starts a deployment, and mode is ${inputs.mode}; leave one of them out.`,
      {
        hint: "Deploy in one step and run in the next.",
      },
    );
  }
  if (inputs.release !== undefined && inputs.mode !== "rollback") {
    throw new UserError("INPUT_INVALID", `The input release is for mode: rollback, and mode is ${inputs.mode}.`);
  }
  const selected = all === "true" ? [] : [...inputs.deployments, ...names];
  return {
    ...inputs,
    deployments: selected,
    "prefect-file": file === undefined ? inputs["prefect-file"] : [file],
    notices,
  };
}
