import type { SourceLocation } from "../shared/errors.ts";
import type { GitHub } from "./github.ts";

const MAX_TEXT_CHARACTERS = 65_535;
const MAX_ANNOTATIONS = 50; // of one request
const MAX_DESCRIPTION_CHARACTERS = 140;

export interface CheckAnnotation {
  message: string;
  severity: "error" | "warning";
  /** The file's path from the root of the repository. */
  location: SourceLocation;
}

export interface Verdict {
  /** Unique on the commit, as GitHub files the check under a workflow run of its own choice. */
  name: string;
  sha: string;
  conclusion: "success" | "failure" | "neutral" | "cancelled";
  title: string;
  summary: string;
  url: string | undefined;
  annotations: readonly CheckAnnotation[];
}

/** A check run on the commit, or a commit status where the token may write that only. */
export async function saveVerdict(github: GitHub, verdict: Verdict): Promise<void> {
  const done = await github.attempt("The check", async ({ rest, owner, repo }, signal) => {
    await rest.checks.create({
      owner,
      repo,
      name: verdict.name,
      head_sha: verdict.sha,
      status: "completed",
      conclusion: verdict.conclusion,
      ...(verdict.url === undefined ? {} : { details_url: verdict.url }),
      output: {
        title: verdict.title.slice(0, 255),
        summary: verdict.summary.slice(0, MAX_TEXT_CHARACTERS),
        annotations: verdict.annotations.slice(0, MAX_ANNOTATIONS).map(({ message, severity, location }) => ({
          path: location.file,
          start_line: location.line,
          end_line: location.line,
          annotation_level: severity === "error" ? "failure" : "warning",
          message: message.slice(0, MAX_TEXT_CHARACTERS),
        })),
      },
      request: { signal },
    });
    return true;
  });
  if (done !== true) {
    await saveStatus(github, {
      sha: verdict.sha,
      context: verdict.name,
      state: verdict.conclusion === "failure" || verdict.conclusion === "cancelled" ? "failure" : "success",
      description: verdict.title,
      url: verdict.url,
    });
  }
}

export interface CommitStatus {
  sha: string;
  context: string;
  state: "success" | "failure" | "error" | "pending";
  description: string;
  url: string | undefined;
}

export async function saveStatus(github: GitHub, status: CommitStatus): Promise<void> {
  await github.attempt("The commit status", ({ rest, owner, repo }, signal) =>
    rest.repos.createCommitStatus({
      owner,
      repo,
      sha: status.sha,
      context: status.context,
      state: status.state,
      description: shorten(status.description, MAX_DESCRIPTION_CHARACTERS),
      ...(status.url === undefined ? {} : { target_url: status.url }),
      request: { signal },
    }),
  );
}

/** On one line, within GitHub's limit. */
export function shorten(text: string, maxCharacters: number): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length <= maxCharacters ? line : `${line.slice(0, maxCharacters - 1)}…`;
}
