import { fill } from "../fill.ts";
import { isObject, type JsonObject } from "../json.ts";
import { type Call, type Implementations, numberOf, refuseMissing, textOf } from "../operation.ts";
import { pick, type World } from "../world.ts";
import { compareCommits } from "./commits.ts";

const MAX_FILES = 3000;
const MAX_COMMITS = 250;

export const pullOperations: Implementations = {
  "pulls/get": (call) => ({ status: 200, body: showPull(call.world, findPull(call)) }),
  "pulls/list": ({ world, query }) => {
    const state = query.get("state") ?? "open";
    const found = [...world.pulls.values()].filter(
      (pull) =>
        (state === "all" || pull["state"] === state) &&
        (query.get("head") ?? pick(pull, "head")["label"]) === pick(pull, "head")["label"] &&
        (query.get("base") ?? pick(pull, "base")["ref"]) === pick(pull, "base")["ref"],
    );
    return { list: found.map((pull) => fill("pull-request-simple", pull)) };
  },
  "pulls/list-files": (call) => {
    const { files } = compareCommits(call.world, ...findEnds(findPull(call)));
    return { list: files.slice(0, MAX_FILES) };
  },
  "pulls/list-commits": (call) => {
    const { commits } = compareCommits(call.world, ...findEnds(findPull(call)));
    return { list: commits.slice(0, MAX_COMMITS) };
  },
  "pulls/list-reviews": (call) => {
    const number = numberOf(findPull(call), "number");
    const found = call.world.reviews.filter((review) => review.pull === number);
    return {
      list: found.map((review, index) =>
        fill("pull-request-review", {
          id: index + 1,
          state: review.state,
          commit_id: review.sha,
          user: call.world.findUser(review.login),
          author_association: "MEMBER",
        }),
      ),
    };
  },
  "pulls/check-if-merged": (call) => {
    const { merged } = findPull(call);
    return merged === true ? { status: 204 } : refuseMissing();
  },
  "repos/list-pull-requests-associated-with-commit": ({ world, params }) => {
    const sha = textOf(params, "commit_sha");
    const found = [...world.pulls.values()].filter(
      (pull) => pick(pull, "head")["sha"] === sha || (pull["merged"] === true && pull["merge_commit_sha"] === sha),
    );
    return { list: found.map((pull) => fill("pull-request-simple", pull)) };
  },
};

function findPull({ world, params }: Call): JsonObject {
  return world.pulls.get(numberOf(params, "pull_number")) ?? refuseMissing();
}

function findEnds(pull: JsonObject): [string, string] {
  return [textOf(pick(pull, "base"), "sha"), textOf(pick(pull, "head"), "sha")];
}

function showPull(world: World, pull: JsonObject): JsonObject {
  const known = world.isMergeabilityKnown(numberOf(pull, "number"));
  const merge = known
    ? {
        mergeable: pull["mergeable"] ?? true,
        mergeable_state: "clean",
        merge_commit_sha: pull["merge_commit_sha"] ?? null,
      }
    : { mergeable: null, mergeable_state: "unknown", merge_commit_sha: null };
  const shown = fill("pull-request", { ...pull, ...merge });
  // A deleted fork is null, though the description does not allow it.
  return isObject(pick(pull, "head")["repo"]) ? shown : { ...shown, head: { ...pick(shown, "head"), repo: null } };
}
