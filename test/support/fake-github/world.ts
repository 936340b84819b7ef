import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isObject, type Json, JsonObject } from "./json.ts";

export const eventsFolder = join(import.meta.dirname, "../../fixtures/github-events");

const Index = z.object({
  cases: z.array(z.object({ file: z.string(), event: z.string(), env: z.object({ GITHUB_SHA: z.string() }) })),
});

interface Commit {
  sha: string;
  parents: string[];
  message: string;
  date: string;
  /** The whole tree: path → content. */
  files: Map<string, string>;
}

interface Comment {
  id: number;
  issueNumber: number;
  login: string;
  body: string;
  createdAt: string;
  updatedAt: string;
}

interface Reaction {
  id: number;
  commentId: number;
  login: string;
  content: string;
}

type Permission = "admin" | "write" | "read";

/** What one repository on GitHub holds. Tests change it freely; requests change it through the operations. */
export class World {
  owner = "Octocoders";
  repo = "Hello-World";
  /** `owner/name` that the repository had before: requests for it are sent on. */
  formerName: string | null = null;
  readonly defaultBranch = "main";
  readonly repository: JsonObject;
  readonly users = new Map<string, JsonObject>();
  /** Who is not named may only read. */
  readonly permissions = new Map<string, Permission>([
    ["Codertocat", "admin"],
    ["hubot", "write"],
  ]);
  readonly commits = new Map<string, Commit>();
  readonly refs = new Map<string, string>();
  /** As the webhooks send them. */
  readonly pulls = new Map<number, JsonObject>();
  readonly issues = new Map<number, JsonObject>();
  readonly labels = new Map<number, Set<string>>();
  /** Logins of reviewers who approved, by pull request and commit. */
  readonly reviews: { pull: number; login: string; sha: string; state: string }[] = [];
  readonly comments: Comment[] = [];
  readonly reactions: Reaction[] = [];
  readonly checkRuns: JsonObject[] = [];
  readonly annotations = new Map<number, JsonObject[]>();
  readonly statuses: JsonObject[] = [];
  readonly deployments: JsonObject[] = [];
  readonly deploymentStatuses: { deploymentId: number; status: JsonObject }[] = [];
  readonly environments = new Set<string>(["production"]);
  readonly dispatches: JsonObject[] = [];
  readonly concurrencyGroups = new Map<number, string[]>();
  readonly #mergeAsked = new Set<number>();
  #lastId = 1_000_000_000;

  constructor() {
    const push = readEvent("push.branch.json");
    // The repository of a push has its times as numbers, unlike everywhere else.
    this.repository = pick(pick(pick(readEvent("pull_request.opened.json"), "pull_request"), "base"), "repo");
    for (const name of ["opened", "opened-fork", "opened-dependabot"]) {
      this.addPull(pick(readEvent(`pull_request.${name}.json`), "pull_request"));
    }
    for (const name of ["pull_request", "pull_request-outsider", "pull_request-bot", "issue", "pull_request-closed"]) {
      const event = readEvent(`issue_comment.created-${name}.json`);
      this.#addIssue(pick(event, "issue"));
      this.#addForeignComment(pick(event, "issue"), pick(event, "comment"));
    }
    this.#addUser(pick(readEvent("issue_comment.edited-pull_request.json"), "sender"));
    this.#addUser({ ...pick(push, "sender"), login: "github-actions[bot]", id: 41_898_282, type: "Bot" });
    const before = z.string().parse(push["before"]);
    this.addCommit({ sha: before, parents: [], files: new Map([["README.md", "# Hello\n"]]) });
    const head = z.string().parse(push["after"]);
    this.addCommit({ sha: head, parents: [before], files: new Map([["README.md", "# Hello, world\n"]]) });
    this.refs.set("refs/heads/main", head);
    for (const sha of listEventCommits().filter((it) => !this.commits.has(it))) {
      this.addCommit({ sha, parents: [head], files: new Map() });
    }
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  now(): string {
    return new Date().toISOString().replace(/\.\d+Z$/, "Z");
  }

  addCommit(given: { sha: string; parents: string[]; files: Map<string, string>; message?: string; date?: string }) {
    this.commits.set(given.sha, { message: "Change something", date: "2026-11-23T09:10:00Z", ...given });
  }

  addPull(pull: JsonObject): void {
    const number = z.number().parse(pull["number"]);
    this.pulls.set(number, pull);
    this.#addUser(pick(pull, "user"));
    const head = pick(pull, "head");
    const sha = z.string().parse(head["sha"]);
    if (!this.commits.has(sha)) {
      this.addCommit({ sha, parents: ["f95f852bd8fca8fcc58a9a2d6c842781e32a215e"], files: new Map() });
    }
    if (isObject(head["repo"]) && pick(head, "repo")["full_name"] === `${this.owner}/${this.repo}`) {
      this.refs.set(`refs/heads/${z.string().parse(head["ref"])}`, sha);
    }
    this.#addIssue({
      number,
      id: z.number().parse(pull["id"]),
      title: pull["title"] ?? "",
      body: pull["body"] ?? null,
      state: pull["state"] ?? "open",
      user: pull["user"] ?? null,
      pull_request: { url: pull["url"] ?? "", html_url: pull["html_url"] ?? "", diff_url: null, patch_url: null },
    });
  }

  addComment(issueNumber: number, login: string, body: string): Comment {
    const now = this.now();
    const comment = { id: this.nextId(), issueNumber, login, body, createdAt: now, updatedAt: now };
    this.comments.push(comment);
    return comment;
  }

  /** GitHub computes mergeability only when somebody asked for it: the first answer is "not known yet". */
  isMergeabilityKnown(pull: number): boolean {
    const known = this.#mergeAsked.has(pull);
    this.#mergeAsked.add(pull);
    return known;
  }

  findUser(login: string): JsonObject {
    return this.users.get(login) ?? { login, id: 1, node_id: "U_1", type: "User", site_admin: false };
  }

  /** The commit that a SHA, branch, tag or full ref names. */
  findCommit(ref: string): Commit | undefined {
    const sha = [ref, `refs/heads/${ref}`, `refs/tags/${ref}`, `refs/${ref}`].map((it) => this.refs.get(it));
    return this.commits.get(sha.find((it) => it !== undefined) ?? ref);
  }

  #addIssue(issue: JsonObject): void {
    this.#addUser(pick(issue, "user"));
    const number = z.number().parse(issue["number"]);
    if (!this.issues.has(number)) {
      this.issues.set(number, issue);
    }
  }

  #addForeignComment(issue: JsonObject, comment: JsonObject): void {
    this.#addUser(pick(comment, "user"));
    this.comments.push({
      id: z.number().parse(comment["id"]),
      issueNumber: z.number().parse(issue["number"]),
      login: z.string().parse(pick(comment, "user")["login"]),
      body: z.string().parse(comment["body"]),
      createdAt: z.string().parse(comment["created_at"]),
      updatedAt: z.string().parse(comment["updated_at"]),
    });
  }

  #addUser(user: JsonObject): void {
    this.users.set(z.string().parse(user["login"]), user);
  }
}

/** The commits that runs of the fixtures' events are for: pushed ones, heads of pull requests and test merges. */
function listEventCommits(): string[] {
  const { cases } = Index.parse(JSON.parse(readFileSync(join(eventsFolder, "index.json"), "utf8")));
  const heads = cases
    .filter((it) => it.event === "pull_request")
    .map((it) => z.string().parse(pick(pick(readEvent(it.file), "pull_request"), "head")["sha"]));
  return [...heads, ...cases.map((it) => it.env.GITHUB_SHA)];
}

export function readEvent(file: string): JsonObject {
  return JsonObject.parse(JSON.parse(readFileSync(join(eventsFolder, file), "utf8")));
}

export function pick(holder: JsonObject, name: string): JsonObject {
  const value: Json = holder[name] ?? null;
  if (!isObject(value)) {
    throw new Error(`${name} is no object`);
  }
  return value;
}
