import { UserError } from "../shared/errors.ts";
import { suggestNearest } from "./did-you-mean.ts";
import type { Project, ProjectEntry } from "./load.ts";
import { fillEnvironment } from "./template.ts";

export interface Selection {
  /** `-n`: a name, `flow/name`, or a pattern with `*` on either side. */
  names: readonly string[];
  /** `--all`. */
  all: boolean;
  /** Indexes of entries that a person picked from a list; wins over the other two. */
  picked?: readonly number[];
}

export interface Selected {
  entries: ProjectEntry[];
  /** Names that were asked for; one of them names a deployment that the file does not have, or renames the only one. */
  names: string[];
  /** True when several deployments are meant: flags then do not apply, and entries without a name are left out. */
  many: boolean;
  notices: string[];
}

/**
 * Chooses entries by Prefect's rules: the only entry of a file is meant whatever the name (which renames it); several
 * entries need a name or `--all`; a name that nothing has makes a new deployment of the flags alone (no entries), when
 * they say enough for one (`canCreate`).
 * Throws UserError DEPLOYMENT_NOT_SELECTED.
 */
export function selectEntries(
  project: Pick<Project, "entries" | "file">,
  selection: Selection & { canCreate: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Selected {
  const { entries } = project;
  if (selection.picked !== undefined) {
    const picked = entries.filter((entry) => selection.picked?.includes(entry.index));
    return { entries: picked, names: [], many: picked.length > 1, notices: [] };
  }
  if (selection.all && selection.names.length > 0) {
    throw new UserError(
      "DEPLOYMENT_NOT_SELECTED",
      "Cannot use both `--all` and `--name` at the same time. Use only one.",
    );
  }
  const candidates = entries.map((entry) => describeCandidate(entry, env));
  const patterns = selection.names.filter((name) => name.includes("*"));
  refuseUselessPatterns(project, patterns, candidates);

  const [only] = entries;
  if (only !== undefined && entries.length === 1 && selection.names.length <= 1 && patterns.length === 0) {
    return { entries: [only], names: [...selection.names], many: false, notices: [] };
  }
  if (selection.all || entries.length === 0) {
    return { entries: [...entries], names: [...selection.names], many: entries.length > 1, notices: [] };
  }
  if (selection.names.length === 0) {
    throw new UserError(
      "DEPLOYMENT_NOT_SELECTED",
      `Discovered ${entries.length} deployment configurations in ${project.file}, but no name was given.`,
      { hint: `Choose with -n (${listNames(candidates)}), or take all of them with --all.` },
    );
  }
  return selectByName(project, selection, candidates);
}

interface Candidate {
  entry: ProjectEntry;
  /** As written, and with the environment filled in. */
  names: string[];
  functionName: string;
}

function describeCandidate(entry: ProjectEntry, env: Readonly<Record<string, string | undefined>>): Candidate {
  const { name, entrypoint = "" } = entry;
  const filled = name === undefined ? undefined : fillEnvironment(name, env);
  return {
    entry,
    names: [...new Set([name, filled])].filter((text) => typeof text === "string"),
    functionName: (entrypoint.split(":").at(-1) ?? "").split(".").at(-1) ?? "",
  };
}

function listNames(candidates: readonly Candidate[]): string {
  const names = [...new Set(candidates.flatMap((candidate) => candidate.names.slice(0, 1)))];
  const shown = names.slice(0, 8).map((name) => JSON.stringify(name));
  return names.length > shown.length ? `${shown.join(", ")}, …` : shown.join(", ");
}

function isMatch(wanted: string, candidate: Candidate): boolean {
  const slash = wanted.indexOf("/");
  const flow = slash === -1 ? undefined : wanted.slice(0, slash);
  const name = slash === -1 ? wanted : wanted.slice(slash + 1);
  const functionName = candidate.functionName.replaceAll("_", "-");
  const flowMatches = flow === undefined || buildPattern(flow.replaceAll("_", "-")).test(functionName);
  return flowMatches && candidate.names.some((own) => buildPattern(name).test(own));
}

function buildPattern(glob: string): RegExp {
  const escaped = glob.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${escaped.join(".*")}$`, "s");
}

function refuseUselessPatterns(
  project: Pick<Project, "file">,
  patterns: readonly string[],
  candidates: readonly Candidate[],
): void {
  if (patterns.length === 0 || candidates.length === 0) {
    return;
  }
  const unnamed = candidates.find((candidate) => candidate.names.length === 0);
  if (unnamed !== undefined) {
    throw new UserError(
      "DEPLOYMENT_NOT_SELECTED",
      `Deployment ${unnamed.entry.label} in ${project.file} has no name, so ${JSON.stringify(patterns[0])} cannot be matched against it.`,
      { hint: "Give every deployment a name, or name those that you mean without a pattern." },
    );
  }
  const useless = patterns.find((pattern) => !candidates.some((candidate) => isMatch(pattern, candidate)));
  if (useless !== undefined) {
    throw new UserError(
      "DEPLOYMENT_NOT_SELECTED",
      `No deployment in ${project.file} matches ${JSON.stringify(useless)}.`,
      { hint: `It has ${listNames(candidates)}.` },
    );
  }
}

function selectByName(
  project: Pick<Project, "file">,
  { names, canCreate }: { names: readonly string[]; canCreate: boolean },
  candidates: readonly Candidate[],
): Selected {
  const matched = candidates.filter((candidate) => names.some((name) => isMatch(name, candidate)));
  const unmatched = names.filter((name) => !candidates.some((candidate) => isMatch(name, candidate)));
  const known = candidates.flatMap((candidate) => [
    ...candidate.names,
    ...candidate.names.map((name) => `${candidate.functionName.replaceAll("_", "-")}/${name}`),
  ]);
  const notices = unmatched.map(
    (name) =>
      `The following deployment(s) could not be found and will not be deployed: ${name}.${suggestNearest(name, known)}`,
  );
  if (matched.length === 0) {
    const message = `Could not find any deployment configurations with the given name(s) in ${project.file}: ${names.join(", ")}.`;
    if (!canCreate) {
      const nearest = names.map((name) => suggestNearest(name, known)).find((text) => text !== "") ?? "";
      throw new UserError("DEPLOYMENT_NOT_SELECTED", `${message}${nearest}`, {
        hint: `It has ${listNames(candidates)}. For a new deployment name its flow too: path/to/file.py:function.`,
      });
    }
    notices.push(`${message} Your flow will be deployed with a new deployment configuration.`);
    return { entries: [], names: [...names], many: false, notices };
  }
  // An entry that was found keeps its own name; only a file's sole entry is renamed.
  return { entries: matched.map((candidate) => candidate.entry), names: [], many: matched.length > 1, notices };
}
