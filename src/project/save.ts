import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import {
  Document,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { isMapping } from "../prefect-api/templating.ts";
import { UserError } from "../shared/errors.ts";
import { type Project, parseProject } from "./load.ts";
import { describeProblem } from "./problem.ts";
import type { DeploymentEntry, Step } from "./schema.ts";
import { parseYamlFile } from "./yaml-file.ts";

/** A deployment as it would have to stand in the file to be made again; templates are still templates. */
export interface DeploymentToSave {
  entry: DeploymentEntry;
  /** The steps that were used; `pull` only when it was chosen and not the default. */
  build: readonly Step[];
  push: readonly Step[];
  pull: readonly Step[] | undefined;
  triggers: readonly unknown[];
}

type Mapping = Record<string, unknown>;

const FILE_HEADER = `# Deployments of this project. Change them here, and deploy again with:
#   flowyard deploy --name <name>
`;

/** True when the file has an entry of that name and entrypoint: there is nothing to save then. */
export function isDeploymentSaved(project: Pick<Project, "entries">, name: string, entrypoint: string): boolean {
  return project.entries.some((entry) => entry.name === name && entry.entrypoint === entrypoint);
}

/**
 * Writes a deployment to the project file: a new file in the shape of Prefect's tutorial, or a change of the existing one
 * that leaves every other character as it is. Answers what happened.
 * Throws UserError PROJECT_FILE_INVALID when the existing file cannot be read or such a change cannot be made safely.
 */
export async function saveDeployment(
  root: string,
  file: string,
  deployment: DeploymentToSave,
): Promise<"created" | "changed"> {
  const target = path.resolve(root, file);
  const existing = await readFile(target, "utf8").catch(() => undefined);
  const text = existing === undefined ? buildNewFile(deployment) : addDeployment(file, existing, deployment);
  await writeFile(target, text);
  return existing === undefined ? "created" : "changed";
}

/** The text of a new project file. Pure. */
export function buildNewFile(deployment: DeploymentToSave): string {
  const { build, push, pull } = deployment;
  const sections = [
    ...(build.length > 0 ? [render({ build })] : []),
    ...(push.length > 0 ? [render({ push })] : []),
    ...(pull === undefined ? [] : [render({ pull })]),
    render({ deployments: [buildEntry(deployment, {})] }),
  ];
  return `${FILE_HEADER}\n${sections.join("\n\n")}\n`;
}

/** The text of an existing project file with the deployment in it. Pure. Throws UserError PROJECT_FILE_INVALID. */
export function addDeployment(file: string, text: string, deployment: DeploymentToSave): string {
  const before = parseProject(file, text);
  const unreadable = before.problems.find((problem) => problem.severity === "error");
  if (unreadable !== undefined) {
    throw new UserError(
      "PROJECT_FILE_INVALID",
      `The deployment was not saved, because ${file} cannot be changed: ${describeProblem(unreadable)}`,
    );
  }
  // A section that the file has at its top level already need not be said again in the entry.
  const own: Partial<DeploymentToSave> = {};
  for (const section of ["build", "push", "pull"] as const) {
    const used = deployment[section];
    const top = before.head[section];
    if (used !== undefined && !isDeepStrictEqual([...used], Array.isArray(top) ? top : [])) {
      own[section] = used;
    }
  }
  const entry = buildEntry(deployment, own);
  const changed = splice(text, entry);
  checkSaved(file, text, changed, entry);
  return changed;
}

/** The entry with its keys in the order of the tutorial. */
function buildEntry({ entry, triggers }: DeploymentToSave, sections: Partial<DeploymentToSave>): Mapping {
  const schedules = entry.schedules ?? [];
  const shown: Mapping = {
    name: entry.name ?? null,
    version: entry.version ?? null,
    tags: entry.tags ?? [],
    description: entry.description ?? null,
    entrypoint: entry.entrypoint ?? null,
    parameters: entry.parameters ?? {},
    work_pool: {
      name: entry.work_pool?.name ?? null,
      work_queue_name: entry.work_pool?.work_queue_name ?? null,
      job_variables: entry.work_pool?.job_variables ?? {},
    },
    ...(schedules.length > 0 ? { schedules: schedules.map(dropUnsaid) } : { schedule: null }),
  };
  const rest: Mapping = dropUnsaid({
    version_type: entry.version_type,
    concurrency_limit: entry.concurrency_limit,
    paused: entry.paused,
    enforce_parameter_schema: entry.enforce_parameter_schema,
    triggers: triggers.length > 0 ? triggers : undefined,
  });
  return { ...shown, ...rest, ...sections };
}

function dropUnsaid(mapping: Mapping): Mapping {
  return Object.fromEntries(Object.entries(mapping).filter(([, value]) => value !== undefined && value !== null));
}

/** As YAML that PyYAML reads back the same: what 1.1 takes for a number, date or boolean is quoted. */
function render(value: unknown, flow = false): string {
  const document = new Document(value, { version: "1.1", aliasDuplicateObjects: false });
  if (flow && (isMap(document.contents) || isSeq(document.contents))) {
    document.contents.flow = true;
  }
  const options = { lineWidth: 0, flowCollectionPadding: false, indentSeq: false, singleQuote: true };
  return document.toString(options).trimEnd();
}

interface Edit {
  from: number;
  to: number;
  text: string;
}

function splice(original: string, entry: Mapping): string {
  const newline = original.includes("\r\n") ? "\r\n" : "\n";
  const document = parseDocument(original, { version: "1.1", merge: true, uniqueKeys: false });
  const edits = listEdits(original, document.contents, entry);
  return edits
    .toSorted((a, b) => b.from - a.from)
    .reduce(
      (text, edit) => text.slice(0, edit.from) + edit.text.replaceAll("\n", newline) + text.slice(edit.to),
      original,
    );
}

function listEdits(text: string, root: Node | null, entry: Mapping): Edit[] {
  const pair = isMap(root) ? findPair(root, "deployments") : undefined;
  const section = render({ deployments: [entry] });
  if (pair === undefined) {
    const blank = text.trim() === "" ? "" : "\n";
    return [{ from: text.length, to: text.length, text: `${newlineBefore(text, text.length)}${blank}${section}\n` }];
  }
  const list = pair.value;
  if (!isSeq(list) || list.items.length === 0) {
    return [replacePair(text, pair, section)];
  }
  const saved = list.items.filter(isMap).find((item) => isSameDeployment(item, entry));
  if (saved !== undefined) {
    return changeItem(text, saved, entry);
  }
  return [list.flow === true ? appendToFlowList(list, entry) : appendToBlockList(text, list, entry)];
}

function findPair(map: YAMLMap, key: string): Pair<Node, Node | null> | undefined {
  return map.items.find((pair): pair is Pair<Node, Node | null> => isScalar(pair.key) && pair.key.value === key);
}

function isSameDeployment(item: YAMLMap, entry: Mapping): boolean {
  const { name, entrypoint } = entry;
  return item.get("name") === name && item.get("entrypoint") === entrypoint;
}

function replacePair(text: string, pair: Pair<Node, Node | null>, rendered: string): Edit {
  const from = pair.key.range?.[0] ?? 0;
  const to = endOf(text, pair.value ?? pair.key);
  return { from, to, text: indent(rendered, columnOf(text, from)) };
}

/** Where a value's text ends, its last newline not included. */
function endOf(text: string, node: Node): number {
  const end = node.range?.[1] ?? 0;
  return text.slice(0, end).replace(/\r?\n$/, "").length;
}

function columnOf(text: string, offset: number): number {
  return offset - (text.lastIndexOf("\n", offset - 1) + 1);
}

function indent(rendered: string, column: number): string {
  return rendered.replaceAll(/\n(?!\n|$)/g, `\n${" ".repeat(column)}`);
}

function newlineBefore(text: string, offset: number): string {
  return offset === 0 || text[offset - 1] === "\n" ? "" : "\n";
}

function appendToFlowList(list: YAMLSeq, entry: Mapping): Edit {
  const last = list.items.at(-1);
  const at = isMap(last) ? (last.range?.[1] ?? 0) : (list.range?.[1] ?? 1) - 1;
  return { from: at, to: at, text: `, ${render(entry, true)}` };
}

function appendToBlockList(text: string, list: YAMLSeq, entry: Mapping): Edit {
  const first = list.items[0];
  const firstStart = isMap(first) || isScalar(first) ? (first.range?.[0] ?? 0) : (list.range?.[0] ?? 0);
  const dash = text.lastIndexOf("-", firstStart);
  const at = list.items.reduce<number>(
    (end, item) => Math.max(end, isMap(item) ? (item.range?.[1] ?? 0) : 0),
    list.range?.[1] ?? 0,
  );
  const column = columnOf(text, dash);
  const item = `${" ".repeat(column)}${indent(render([entry]), column)}`;
  return { from: at, to: at, text: `${newlineBefore(text, at)}${item}\n` };
}

/** Changes only the keys whose value is another one now; comments, order and layout of the others stay. */
function changeItem(text: string, item: YAMLMap, entry: Mapping): Edit[] {
  if (item.flow === true) {
    return [{ from: item.range?.[0] ?? 0, to: item.range?.[1] ?? 0, text: render(entry, true) }];
  }
  const first = item.items[0]?.key;
  const column = columnOf(text, isScalar(first) ? (first.range?.[0] ?? 0) : 0);
  const old: unknown = item.toJSON();
  const edits: Edit[] = [];
  let added = "";
  for (const [key, value] of Object.entries(entry)) {
    const known = isMapping(old) ? old[key] : undefined;
    if (isSame(known, value)) {
      continue;
    }
    const pair = findPair(item, key);
    if (pair === undefined) {
      added += `${" ".repeat(column)}${indent(render({ [key]: value }), column)}\n`;
    } else if (isScalar(pair.value) && !isMapping(value) && !Array.isArray(value)) {
      edits.push({ from: pair.value.range?.[0] ?? 0, to: pair.value.range?.[1] ?? 0, text: render(value) });
    } else {
      edits.push(replacePair(text, pair, render({ [key]: value })));
    }
  }
  if (added !== "") {
    const at = item.range?.[1] ?? text.length;
    edits.push({ from: at, to: at, text: `${newlineBefore(text, at)}${added}` });
  }
  return edits;
}

/** A key that is left out says the same as one that is null or empty. */
function isSame(old: unknown, value: unknown): boolean {
  return isDeepStrictEqual(old, value) || (isNothing(old) && isNothing(value));
}

function isNothing(value: unknown): boolean {
  if (isMapping(value)) {
    return Object.values(value).every((item) => item === null);
  }
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
}

/** Reads the new text back: the entry must say what was meant, and nothing else may have changed. */
function checkSaved(file: string, before: string, after: string, entry: Mapping): void {
  const old = listRawEntries(file, before);
  const now = listRawEntries(file, after);
  const isTarget = (each: unknown) =>
    isMapping(each) && each["name"] === entry["name"] && each["entrypoint"] === entry["entrypoint"];
  const saved = now.find(isTarget);
  const kept = isDeepStrictEqual(
    old.filter((each) => !isTarget(each)),
    now.filter((each) => !isTarget(each)),
  );
  const same = isMapping(saved) && Object.entries(entry).every(([key, value]) => isSame(saved[key], value));
  if (!kept || !same) {
    throw new UserError(
      "PROJECT_FILE_INVALID",
      `The deployment was not saved: ${file} is laid out in a way that cannot be changed safely.`,
      {
        hint: `Add it by hand:\n${render({ deployments: [entry] })}`,
      },
    );
  }
}

function listRawEntries(file: string, text: string): unknown[] {
  const { value } = parseYamlFile(file, text);
  const entries = isMapping(value) ? value["deployments"] : undefined;
  return Array.isArray(entries) ? entries : [];
}
