import { readFile } from "node:fs/promises";
import path from "node:path";
import type { z } from "zod";
import { isMapping } from "../prefect-api/templating.ts";
import { UserError } from "../shared/errors.ts";
import { suggestNearest } from "./did-you-mean.ts";
import { compareProblems, describeProblem, type Problem } from "./problem.ts";
import { parseSchedule, readScheduleConfig } from "./schedules.ts";
import { DeploymentEntry, ENTRY_KEYS, ProjectHead, SCHEDULE_KEYS, TOP_LEVEL_KEYS, WORK_POOL_KEYS } from "./schema.ts";
import { type Path, parseYamlFile, type YamlFile } from "./yaml-file.ts";

/** One item of `deployments`. */
export interface ProjectEntry {
  index: number;
  /** Undefined when the entry is invalid; `problems` then says why. */
  entry: DeploymentEntry | undefined;
  /** As written, valid entry or not; undefined when there is none or it is not text. */
  name: string | undefined;
  entrypoint: string | undefined;
  /** What the file says its name is, for messages; valid or not. */
  label: string;
  problems: Problem[];
}

export interface Project {
  /** The path as the user wrote it. */
  file: string;
  /** False when there is no such file: the project is then made of flags alone. */
  exists: boolean;
  head: ProjectHead;
  entries: ProjectEntry[];
  /** What concerns the whole file; that of an entry stands with the entry. */
  problems: Problem[];
  /** What the errors among `problems` amount to, in the words of Prefect's own messages; undefined when there are none. */
  headline: string | undefined;
  /** A problem at a place in the file, such as ["deployments", 2, "entrypoint"]. */
  problemAt: YamlFile["problemAt"];
}

/**
 * Reads a project file. Never stops at the first problem: everything that is wrong is in `problems`, each with its place.
 * Throws UserError PROJECT_FILE_INVALID only for a file that is not text.
 */
export async function loadProject(root: string, file: string): Promise<Project> {
  const bytes = await readProjectFile(path.resolve(root, file));
  if (bytes === undefined) {
    return buildMissingProject(file);
  }
  return parseProject(file, decodeText(file, bytes));
}

async function readProjectFile(absolutePath: string): Promise<Buffer | undefined> {
  try {
    return await readFile(absolutePath);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return undefined;
    }
    throw new UserError("PROJECT_FILE_INVALID", `Unable to read the specified config file ${absolutePath}.`, {
      cause: error,
      hint: error instanceof Error ? `${error.message}.` : "Check that it is a file that you may read.",
    });
  }
}

function decodeText(file: string, bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    throw new UserError(
      "PROJECT_FILE_INVALID",
      `Unable to read the specified config file ${file}: it is not UTF-8 text${utf16 ? " but UTF-16" : ""}.`,
      { cause, hint: "Save it as UTF-8.", location: { file, line: findBadLine(bytes), column: 1 } },
    );
  }
}

/** The first line that is not UTF-8. */
function findBadLine(bytes: Buffer): number {
  const lines = bytes.toString("latin1").split("\n");
  const bad = lines.findIndex((line) => Buffer.from(line, "latin1").toString("utf8").includes("\uFFFD"));
  return bad === -1 ? 1 : bad + 1;
}

function buildMissingProject(file: string): Project {
  return {
    file,
    exists: false,
    head: {},
    entries: [],
    problems: [],
    headline: undefined,
    problemAt: (_, severity, message, hint) => ({
      severity,
      message,
      ...(hint === undefined ? {} : { hint }),
      frame: "",
    }),
  };
}

/** Reads the text of a project file; pure. */
export function parseProject(file: string, text: string): Project {
  const yaml = parseYamlFile(file, text);
  const project: Project = {
    file,
    exists: true,
    head: {},
    entries: [],
    problems: [...yaml.problems],
    headline: undefined,
    problemAt: yaml.problemAt,
  };
  const root = yaml.value;
  const fail = (headline: string, problems: Problem[]) => {
    project.headline = headline;
    project.problems.push(...problems);
    return project;
  };
  if (hasErrors(yaml.problems)) {
    return fail(`Unable to read the specified config file ${file}: it is not valid YAML.`, []);
  }
  if (root === null || root === undefined) {
    project.problems.push(yaml.problemAt([], "warning", "the file is empty."));
    return project;
  }
  if (!isMapping(root)) {
    const message = `the file holds ${Array.isArray(root) ? "a list" : "a single value"}, but must be a mapping with the key "deployments".`;
    return fail(`Unable to parse the specified config file ${file}.`, [yaml.problemAt([], "error", message)]);
  }
  project.problems.push(...listUnknownKeys(yaml, [], root, TOP_LEVEL_KEYS));
  const { deployments = [], ...rest } = root;
  const head = ProjectHead.safeParse(rest);
  if (head.success) {
    project.head = head.data;
  } else {
    fail(`Invalid top-level fields in config file ${file}.`, describeIssues(yaml, [], head.error, ""));
  }
  if (!Array.isArray(deployments)) {
    const found = deployments === null ? "is empty" : isMapping(deployments) ? "is a mapping" : "is a single value";
    const hint = isMapping(deployments) ? "Start each deployment with `- `." : "Write `deployments: []` for none.";
    const problem = yaml.problemAt(["deployments"], "error", `deployments ${found}, but must be a list.`, hint);
    return fail(`Invalid top-level fields in config file ${file}.`, [problem]);
  }
  project.entries = deployments.map((raw: unknown, index) => parseEntry(yaml, raw, index));
  return project;
}

/** `Invalid fields in deployments: "a", "b".`, or undefined when these entries have no errors. */
export function describeInvalidEntries(entries: readonly ProjectEntry[]): string | undefined {
  const invalid = entries.filter((entry) => hasErrors(entry.problems));
  return invalid.length === 0
    ? undefined
    : `Invalid fields in deployments: ${invalid.map((entry) => entry.label).join(", ")}.`;
}

function parseEntry(yaml: YamlFile, raw: unknown, index: number): ProjectEntry {
  const at: Path = ["deployments", index];
  const name = readText(raw, "name");
  const label = name === undefined ? `#${index + 1}` : JSON.stringify(name);
  const written = { index, name, entrypoint: readText(raw, "entrypoint"), label };
  const prefix = `deployment ${label}: `;
  const problems: Problem[] = [];
  if (isMapping(raw)) {
    problems.push(...listUnknownKeys(yaml, at, raw, ENTRY_KEYS, prefix));
    if (isMapping(raw["work_pool"])) {
      problems.push(...listUnknownKeys(yaml, [...at, "work_pool"], raw["work_pool"], WORK_POOL_KEYS, prefix));
    }
  }
  const parsed = DeploymentEntry.safeParse(raw);
  if (!parsed.success) {
    problems.push(...describeIssues(yaml, at, parsed.error, prefix));
    return { ...written, entry: undefined, problems };
  }
  problems.push(...listScheduleProblems(yaml, at, parsed.data, prefix));
  return { ...written, entry: hasErrors(problems) ? undefined : parsed.data, problems };
}

function readText(raw: unknown, key: string): string | undefined {
  const value = isMapping(raw) ? raw[key] : undefined;
  return typeof value === "string" ? value : undefined;
}

/** What can be said about schedules before templating: those without any placeholder. */
function listScheduleProblems(yaml: YamlFile, at: Path, entry: DeploymentEntry, prefix: string): Problem[] {
  const problems: Problem[] = [];
  if (entry.schedule && entry.schedules !== undefined) {
    const message = `${prefix}Both 'schedule' and 'schedules' are given; keep only 'schedules'.`;
    problems.push(yaml.problemAt([...at, "schedule"], "error", message));
  }
  const slugs = new Set<string>();
  const items: [Path, unknown][] = (entry.schedules ?? []).map((item, index) => [[...at, "schedules", index], item]);
  if (entry.schedule) {
    items.push([[...at, "schedule"], entry.schedule]);
  }
  for (const [path, item] of items) {
    const config = readScheduleConfig(item);
    if (config?.slug && slugs.has(config.slug)) {
      const message = `${prefix}two schedules have the slug ${JSON.stringify(config.slug)}; each needs its own.`;
      problems.push(yaml.problemAt([...path, "slug"], "error", message));
    }
    slugs.add(config?.slug ?? "");
    if (config === undefined || JSON.stringify(config).includes("{{")) {
      continue;
    }
    const result = parseSchedule(config);
    if ("message" in result) {
      problems.push(yaml.problemAt([...path, result.key], "error", `${prefix}${result.message}`));
    }
  }
  return problems;
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.severity === "error");
}

function listUnknownKeys(
  yaml: YamlFile,
  at: Path,
  mapping: Record<string, unknown>,
  known: readonly string[],
  prefix = "",
): Problem[] {
  return Object.keys(mapping)
    .filter((key) => !known.includes(key) && !/^[.x]-?/.test(key.slice(0, 2)) && !yaml.isAnchored([...at, key]))
    .map((key) =>
      yaml.problemAtKey(
        [...at, key],
        "warning",
        `${prefix}unknown key ${JSON.stringify(key)} is ignored.${suggestNearest(key, known)}`,
      ),
    );
}

type Issues = z.ZodError["issues"];

function describeIssues(yaml: YamlFile, at: Path, error: { issues: Issues }, prefix: string): Problem[] {
  // A schedule that is nested under the key "schedule" has no kind of its own: saying that too would only confuse.
  const nested = new Set(
    error.issues.filter((issue) => readExtraKeys(issue).includes("schedule")).map((issue) => formatPath(issue.path)),
  );
  const issues = error.issues.filter((issue) => readExtraKeys(issue).length > 0 || !nested.has(formatPath(issue.path)));
  return issues.flatMap((issue) => {
    const path = issue.path.filter((step) => typeof step !== "symbol");
    const extraKeys = readExtraKeys(issue);
    const field = formatField(path);
    if (extraKeys.length > 0) {
      return extraKeys.map((key) => describeExtraKey(yaml, [...at, ...path], key, `${prefix}${field}: `));
    }
    const message = `${prefix}${field}${field === "" ? "" : " "}${issue.message}`;
    return [yaml.problemAt([...at, ...path], "error", message, hintForNumber(yaml, [...at, ...path], issue))];
  });
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.map(String).join(".");
}

function readExtraKeys(issue: Issues[number]): string[] {
  const params =
    issue.code === "unrecognized_keys" ? issue.keys : issue.code === "custom" ? issue.params?.["keys"] : [];
  return Array.isArray(params) ? params.filter((key) => typeof key === "string") : [];
}

function describeExtraKey(yaml: YamlFile, at: Path, key: string, prefix: string): Problem {
  const nested = key === "schedule";
  const message = nested
    ? `${prefix}a schedule is written without the key "schedule" around it.`
    : `${prefix}unknown key ${JSON.stringify(key)}.${suggestNearest(key, SCHEDULE_KEYS)}`;
  const hint = nested ? "Write cron, interval or rrule directly." : `Allowed are ${SCHEDULE_KEYS.join(", ")}.`;
  return yaml.problemAtKey([...at, key], "error", message, hint);
}

/** A version such as 1.10 is a number to YAML and loses its zero: show what to write. */
function hintForNumber(yaml: YamlFile, path: Path, issue: Issues[number]): string | undefined {
  const wantsText = issue.code === "invalid_type" && issue.expected === "string";
  const written = wantsText ? yaml.writtenScalar(path) : undefined;
  return written === undefined || written === "" ? undefined : `Write ${JSON.stringify(written)}.`;
}

export function formatField(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : text === "" ? step : `${text}.${step}`),
    "",
  );
}

/**
 * One error for everything that is wrong. `problems` may hold warnings: they are left out. The first lines are the
 * words that Prefect's users know.
 */
export function buildProjectError(problems: readonly Problem[], headline: string): UserError {
  const errors = problems.filter((problem) => problem.severity === "error").sort(compareProblems);
  const [first] = errors;
  // What stands at the top level or behind an anchor is wrong once, however many deployments use it.
  const text = [...new Set(errors.map(describeProblem))].join("\n\n");
  return new UserError(first?.code ?? "PROJECT_FILE_INVALID", `${headline}\n\n${text}`, {
    ...(first?.location === undefined ? {} : { location: first.location }),
  });
}
