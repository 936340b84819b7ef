import { fill } from "../fill.ts";
import type { Json, JsonObject } from "../json.ts";
import {
  type Call,
  type Implementations,
  numberOf,
  optional,
  refuseInvalid,
  refuseMissing,
  textOf,
} from "../operation.ts";
import type { World } from "../world.ts";

const MAX_BODY = 65_536;
const CONTENTS = ["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"];

export const issueOperations: Implementations = {
  "issues/get": (call) => ({ status: 200, body: showIssue(call.world, findIssue(call)) }),
  "issues/list-for-repo": ({ world, query }) => ({
    list: [...world.issues.values()]
      .filter((issue) => (query.get("state") ?? "open") === "all" || issue["state"] === (query.get("state") ?? "open"))
      .map((issue) => showIssue(world, issue)),
  }),
  "issues/create": ({ world, body, login }) => {
    checkBody("Issue", body);
    const number = Math.max(...world.issues.keys()) + 1;
    const issue = {
      id: world.nextId(),
      number,
      state: "open",
      user: world.findUser(login),
      ...optional(body, "title", "body"),
    };
    world.issues.set(number, issue);
    return { status: 201, body: showIssue(world, issue) };
  },
  "issues/update": (call) => {
    checkBody("Issue", call.body);
    const issue = Object.assign(findIssue(call), optional(call.body, "title", "body", "state"));
    return { status: 200, body: showIssue(call.world, issue) };
  },
  "issues/list-comments": (call) => {
    const number = numberOf(findIssue(call), "number");
    const found = call.world.comments.filter((comment) => comment.issueNumber === number);
    return { list: found.map((comment) => showComment(call.world, comment.id)) };
  },
  "issues/list-comments-for-repo": ({ world }) => ({ list: world.comments.map(({ id }) => showComment(world, id)) }),
  "issues/create-comment": (call) => {
    checkBody("IssueComment", call.body);
    const number = numberOf(findIssue(call), "number");
    const comment = call.world.addComment(number, call.login, textOf(call.body, "body"));
    return { status: 201, body: showComment(call.world, comment.id) };
  },
  "issues/get-comment": (call) => ({ status: 200, body: showComment(call.world, findComment(call).id) }),
  "issues/update-comment": (call) => {
    checkBody("IssueComment", call.body);
    const comment = findComment(call);
    comment.body = textOf(call.body, "body");
    comment.updatedAt = call.world.now();
    return { status: 200, body: showComment(call.world, comment.id) };
  },
  "issues/delete-comment": (call) => {
    call.world.comments.splice(call.world.comments.indexOf(findComment(call)), 1);
    return { status: 204 };
  },
  "reactions/list-for-issue-comment": (call) => {
    const { id } = findComment(call);
    const found = call.world.reactions.filter((reaction) => reaction.commentId === id);
    return { list: found.map((reaction) => showReaction(call.world, reaction)) };
  },
  "reactions/create-for-issue-comment": (call) => {
    const { id: commentId } = findComment(call);
    const content = textOf(call.body, "content");
    if (!CONTENTS.includes(content)) {
      refuseInvalid("Reaction", "content", "invalid");
    }
    const { world, login } = call;
    const earlier = world.reactions.find(
      (it) => it.commentId === commentId && it.login === login && it.content === content,
    );
    if (earlier !== undefined) {
      return { status: 200, body: showReaction(world, earlier) };
    }
    const reaction = { id: world.nextId(), commentId, login, content };
    world.reactions.push(reaction);
    return { status: 201, body: showReaction(world, reaction) };
  },
  "reactions/delete-for-issue-comment": (call) => {
    const id = numberOf(call.params, "reaction_id");
    const at = call.world.reactions.findIndex((reaction) => reaction.id === id);
    if (at === -1) {
      refuseMissing();
    }
    call.world.reactions.splice(at, 1);
    return { status: 204 };
  },
  "issues/list-labels-on-issue": (call) => ({ list: listLabels(call) }),
  "issues/add-labels": (call) => {
    const number = numberOf(findIssue(call), "number");
    const added = Array.isArray(call.body["labels"]) ? call.body["labels"].filter((it) => typeof it === "string") : [];
    call.world.labels.set(number, new Set([...(call.world.labels.get(number) ?? []), ...added]));
    return { status: 200, body: listLabels(call) };
  },
  "issues/remove-label": (call) => {
    const removed = call.world.labels.get(numberOf(findIssue(call), "number"))?.delete(textOf(call.params, "name"));
    return removed === true ? { status: 200, body: listLabels(call) } : refuseMissing();
  },
};

function findIssue({ world, params }: Call): JsonObject {
  return world.issues.get(numberOf(params, "issue_number")) ?? refuseMissing();
}

function findComment({ world, params }: Call) {
  const id = numberOf(params, "comment_id");
  return world.comments.find((comment) => comment.id === id) ?? refuseMissing();
}

function checkBody(resource: string, { body }: { body?: Json }): void {
  if (typeof body === "string" && body.length > MAX_BODY) {
    refuseInvalid(resource, "body", "custom", `body is too long (maximum is ${MAX_BODY} characters)`);
  }
}

function listLabels(call: Call): Json[] {
  const names = [...(call.world.labels.get(numberOf(findIssue(call), "number")) ?? [])];
  return names.map((name) => fill("label", { id: 1, name, color: "ededed", default: false }));
}

function showIssue(world: World, issue: JsonObject): JsonObject {
  const comments = world.comments.filter((it) => it.issueNumber === issue["number"]).length;
  return fill("issue", { ...issue, comments, state: issue["state"] ?? "open" });
}

function showComment(world: World, id: number): JsonObject {
  const comment = world.comments.find((it) => it.id === id) ?? refuseMissing();
  const issue = world.issues.get(comment.issueNumber) ?? {};
  const kind = issue["pull_request"] === undefined ? "issues" : "pull";
  const permission = world.permissions.get(comment.login);
  return fill("issue-comment", {
    id,
    node_id: `IC_${id}`,
    body: comment.body,
    user: world.findUser(comment.login),
    created_at: comment.createdAt,
    updated_at: comment.updatedAt,
    html_url: `https://github.com/${world.owner}/${world.repo}/${kind}/${comment.issueNumber}#issuecomment-${id}`,
    author_association: permission === undefined ? "NONE" : "MEMBER",
  });
}

function showReaction(world: World, reaction: { id: number; login: string; content: string }): JsonObject {
  return fill("reaction", { id: reaction.id, content: reaction.content, user: world.findUser(reaction.login) });
}
