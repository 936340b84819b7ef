import { createHash } from "node:crypto";
import { fill } from "../fill.ts";
import type { JsonObject } from "../json.ts";
import { type Call, type Implementations, refuseInvalid, refuseMissing, textOf } from "../operation.ts";
import type { World } from "../world.ts";

const MAX_COMPARED_FILES = 300;

export const commitOperations: Implementations = {
  "repos/get-commit": ({ world, params }) => ({ status: 200, body: showCommit(world, textOf(params, "ref")) }),
  "repos/compare-commits-with-basehead": ({ world, params }) => {
    const [base = "", head = ""] = textOf(params, "basehead").split("...");
    const compared = compareCommits(world, base, head);
    return {
      status: 200,
      body: fill("commit-comparison", {
        ...compared,
        total_commits: compared.commits.length,
        files: compared.files.slice(0, MAX_COMPARED_FILES),
        base_commit: showCommit(world, base),
        merge_base_commit: showCommit(world, compared.mergeBase),
      }),
    };
  },
  "repos/get-content": ({ world, params, query }) => {
    const commit = world.findCommit(query.get("ref") ?? world.defaultBranch) ?? refuseMissing();
    const path = textOf(params, "path");
    const content = commit.files.get(path);
    if (content !== undefined) {
      return { status: 200, body: showFile(path, content, true) };
    }
    const inside = [...commit.files].filter(([name]) => name.startsWith(`${path}/`));
    return inside.length === 0
      ? refuseMissing()
      : { status: 200, body: inside.map(([name, text]) => showFile(name, text, false)) };
  },
  "git/get-ref": (call) => {
    const ref = `refs/${textOf(call.params, "ref")}`;
    return { status: 200, body: showRef(ref, call.world.refs.get(ref) ?? refuseMissing()) };
  },
  "git/list-matching-refs": ({ world, params }) => {
    const found = [...world.refs].filter(([ref]) => ref.startsWith(`refs/${textOf(params, "ref")}`));
    return { list: found.map(([ref, sha]) => showRef(ref, sha)) };
  },
  "repos/get-branch": ({ world, params }) => {
    const name = textOf(params, "branch");
    const sha = world.refs.get(`refs/heads/${name}`) ?? refuseMissing();
    return { status: 200, body: fill("branch-with-protection", { name, commit: showCommit(world, sha) }) };
  },
  "repos/list-branches": ({ world }) => ({
    list: [...world.refs]
      .filter(([ref]) => ref.startsWith("refs/heads/"))
      .map(([ref, sha]) => fill("short-branch", { name: ref.slice("refs/heads/".length), commit: { sha } })),
  }),
  "repos/get-branch-rules": () => ({ list: [] }),
};

function showRef(ref: string, sha: string): JsonObject {
  return fill("git-ref", { ref, object: { type: "commit", sha } });
}

function showFile(path: string, content: string, whole: boolean): JsonObject {
  const base = {
    type: "file",
    path,
    name: path.split("/").at(-1) ?? path,
    size: Buffer.byteLength(content),
    sha: hash(content),
  };
  const encoded = { encoding: "base64", content: Buffer.from(content).toString("base64") };
  return fill("content-file", whole ? { ...base, ...encoded } : { ...base, encoding: "", content: "" });
}

function hash(content: string): string {
  return createHash("sha1")
    .update(`blob ${Buffer.byteLength(content)}\0${content}`)
    .digest("hex");
}

export function showCommit(world: World, ref: string): JsonObject {
  const commit = world.findCommit(ref) ?? refuseUnknown(ref);
  const person = { name: "Codertocat", email: "21031067+Codertocat@users.noreply.github.com", date: commit.date };
  return fill("commit", {
    sha: commit.sha,
    parents: commit.parents.map((sha) => ({ sha })),
    commit: { message: commit.message, author: person, committer: person, tree: { sha: commit.sha } },
    author: world.findUser("Codertocat"),
    committer: world.findUser("Codertocat"),
  });
}

/** A name that looks like a SHA is a wrong value, any other an unknown resource. */
function refuseUnknown(ref: string): never {
  return /^[0-9a-f]{40}$/.test(ref)
    ? refuseInvalid("Commit", "sha", "invalid", `No commit found for SHA: ${ref}`)
    : refuseMissing();
}

function listAncestors(world: World, sha: string): string[] {
  const commit = world.commits.get(sha);
  return commit === undefined ? [] : [sha, ...commit.parents.flatMap((parent) => listAncestors(world, parent))];
}

export function compareCommits(world: World, base: string, head: string) {
  const from = world.findCommit(base) ?? refuseMissing();
  const to = world.findCommit(head) ?? refuseMissing();
  const behind = new Set(listAncestors(world, from.sha));
  const ahead = new Set(listAncestors(world, to.sha));
  const mergeBase = [...ahead].find((sha) => behind.has(sha)) ?? refuseMissing();
  const commits = [...ahead].filter((sha) => !behind.has(sha)).reverse();
  const before = world.commits.get(mergeBase)?.files ?? new Map<string, string>();
  const paths = [...new Set([...before.keys(), ...to.files.keys()])].sort();
  const files = paths.flatMap((filename) => {
    const [old, now] = [before.get(filename), to.files.get(filename)];
    const status = old === undefined ? "added" : now === undefined ? "removed" : "modified";
    return old === now ? [] : [fill("diff-entry", { filename, status, sha: hash(now ?? old ?? "") })];
  });
  const behindBy = [...behind].filter((sha) => !ahead.has(sha)).length;
  const status =
    commits.length === 0 ? (behindBy === 0 ? "identical" : "behind") : behindBy === 0 ? "ahead" : "diverged";
  return {
    mergeBase,
    status,
    ahead_by: commits.length,
    behind_by: behindBy,
    commits: commits.map((sha) => showCommit(world, sha)),
    files,
  };
}

export function findSha({ world }: Call, ref: string): string {
  return (world.findCommit(ref) ?? refuseUnknown(ref)).sha;
}
