import type { Json } from "../support/fake-github/json.ts";
import { pick, readEvent, type World } from "../support/fake-github/world.ts";

interface Example {
  method: string;
  path: string;
  body?: Json;
  status: number;
}

const SHA = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e";
const PARENT = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const repo = "/repos/Octocoders/Hello-World";

/** A world in which every example finds what it asks for. */
export function furnish(world: World): void {
  world.checkRuns.push({ id: 1, name: "flowyard", head_sha: SHA, status: "in_progress", conclusion: null });
  world.annotations.set(1, [
    { path: "prefect.yaml", start_line: 1, end_line: 1, annotation_level: "failure", message: "no work pool" },
  ]);
  const base = { sha: SHA, ref: "main", task: "deploy", payload: {}, description: null, creator: null };
  world.deployments.push({ id: 2, environment: "production", ...base }, { id: 3, environment: "staging", ...base });
  const status = { id: 4, creator: null, description: "", target_url: "" };
  world.deploymentStatuses.push({ deploymentId: 2, status: { ...status, state: "success" } });
  world.deploymentStatuses.push({ deploymentId: 3, status: { ...status, state: "inactive" } });
  world.reactions.push({ id: 5, commentId: 492700400, login: "hubot", content: "eyes" });
  world.labels.set(2, new Set(["deploy"]));
  world.reviews.push({ pull: 2, login: "hubot", sha: "ec26c3e57ca3a959ca5aad62de7213c562f8c821", state: "APPROVED" });
  world.refs.set("refs/tags/v1.2.0", SHA);
  const merged = pick(readEvent("pull_request.closed-merged.json"), "pull_request");
  world.addPull({ ...merged, number: 7 });
  world.commits.get(SHA)?.files.set("flows/etl.py", "print(1)\n");
}

const output = { title: "Plan", summary: "1 change" };

/** One good request for each operation of the fake. */
export const examples: Record<string, Example> = {
  "issues/get": { method: "GET", path: `${repo}/issues/2`, status: 200 },
  "issues/list-for-repo": { method: "GET", path: `${repo}/issues?state=all`, status: 200 },
  "issues/create": { method: "POST", path: `${repo}/issues`, body: { title: "Drift" }, status: 201 },
  "issues/update": { method: "PATCH", path: `${repo}/issues/2`, body: { state: "closed" }, status: 200 },
  "issues/list-comments": { method: "GET", path: `${repo}/issues/2/comments?per_page=100`, status: 200 },
  "issues/list-comments-for-repo": { method: "GET", path: `${repo}/issues/comments`, status: 200 },
  "issues/create-comment": { method: "POST", path: `${repo}/issues/2/comments`, body: { body: "plan" }, status: 201 },
  "issues/get-comment": { method: "GET", path: `${repo}/issues/comments/492700400`, status: 200 },
  "issues/update-comment": {
    method: "PATCH",
    path: `${repo}/issues/comments/492700400`,
    body: { body: "new" },
    status: 200,
  },
  "issues/delete-comment": { method: "DELETE", path: `${repo}/issues/comments/492700400`, status: 204 },
  "reactions/list-for-issue-comment": {
    method: "GET",
    path: `${repo}/issues/comments/492700400/reactions`,
    status: 200,
  },
  "reactions/create-for-issue-comment": {
    method: "POST",
    path: `${repo}/issues/comments/492700400/reactions`,
    body: { content: "rocket" },
    status: 201,
  },
  "reactions/delete-for-issue-comment": {
    method: "DELETE",
    path: `${repo}/issues/comments/492700400/reactions/5`,
    status: 204,
  },
  "issues/list-labels-on-issue": { method: "GET", path: `${repo}/issues/2/labels`, status: 200 },
  "issues/add-labels": { method: "POST", path: `${repo}/issues/2/labels`, body: { labels: ["a"] }, status: 200 },
  "issues/remove-label": { method: "DELETE", path: `${repo}/issues/2/labels/deploy`, status: 200 },
  "pulls/get": { method: "GET", path: `${repo}/pulls/2`, status: 200 },
  "pulls/list": { method: "GET", path: `${repo}/pulls?state=all&base=main`, status: 200 },
  "pulls/list-files": { method: "GET", path: `${repo}/pulls/2/files`, status: 200 },
  "pulls/list-commits": { method: "GET", path: `${repo}/pulls/2/commits`, status: 200 },
  "pulls/list-reviews": { method: "GET", path: `${repo}/pulls/2/reviews`, status: 200 },
  "pulls/check-if-merged": { method: "GET", path: `${repo}/pulls/7/merge`, status: 204 },
  "repos/list-pull-requests-associated-with-commit": {
    method: "GET",
    path: `${repo}/commits/ec26c3e57ca3a959ca5aad62de7213c562f8c821/pulls`,
    status: 200,
  },
  "repos/get-commit": { method: "GET", path: `${repo}/commits/main`, status: 200 },
  "repos/compare-commits-with-basehead": { method: "GET", path: `${repo}/compare/${PARENT}...${SHA}`, status: 200 },
  "repos/get-content": { method: "GET", path: `${repo}/contents/flows/etl.py?ref=main`, status: 200 },
  "git/get-ref": { method: "GET", path: `${repo}/git/ref/heads/main`, status: 200 },
  "git/list-matching-refs": { method: "GET", path: `${repo}/git/matching-refs/tags/v1`, status: 200 },
  "repos/get-branch": { method: "GET", path: `${repo}/branches/main`, status: 200 },
  "repos/list-branches": { method: "GET", path: `${repo}/branches`, status: 200 },
  "repos/get-branch-rules": { method: "GET", path: `${repo}/rules/branches/main`, status: 200 },
  "checks/create": {
    method: "POST",
    path: `${repo}/check-runs`,
    body: { name: "flowyard", head_sha: SHA, conclusion: "success", output },
    status: 201,
  },
  "checks/update": {
    method: "PATCH",
    path: `${repo}/check-runs/1`,
    body: { status: "completed", conclusion: "success", output },
    status: 200,
  },
  "checks/get": { method: "GET", path: `${repo}/check-runs/1`, status: 200 },
  "checks/list-annotations": { method: "GET", path: `${repo}/check-runs/1/annotations`, status: 200 },
  "checks/list-for-ref": { method: "GET", path: `${repo}/commits/${SHA}/check-runs?check_name=flowyard`, status: 200 },
  "repos/create-commit-status": {
    method: "POST",
    path: `${repo}/statuses/${SHA}`,
    body: { state: "success", context: "flowyard", description: "deployed" },
    status: 201,
  },
  "repos/list-commit-statuses-for-ref": { method: "GET", path: `${repo}/commits/${SHA}/statuses`, status: 200 },
  "repos/get-combined-status-for-ref": { method: "GET", path: `${repo}/commits/${SHA}/status`, status: 200 },
  "repos/list-deployments": { method: "GET", path: `${repo}/deployments?environment=production`, status: 200 },
  "repos/create-deployment": {
    method: "POST",
    path: `${repo}/deployments`,
    body: { ref: SHA, environment: "production", auto_merge: false, required_contexts: [] },
    status: 201,
  },
  "repos/get-deployment": { method: "GET", path: `${repo}/deployments/2`, status: 200 },
  "repos/delete-deployment": { method: "DELETE", path: `${repo}/deployments/3`, status: 204 },
  "repos/list-deployment-statuses": { method: "GET", path: `${repo}/deployments/2/statuses`, status: 200 },
  "repos/get-deployment-status": { method: "GET", path: `${repo}/deployments/2/statuses/4`, status: 200 },
  "repos/create-deployment-status": {
    method: "POST",
    path: `${repo}/deployments/2/statuses`,
    body: { state: "in_progress", log_url: "https://github.com/Octocoders/Hello-World/actions/runs/1" },
    status: 201,
  },
  "repos/get": { method: "GET", path: repo, status: 200 },
  "repos/get-collaborator-permission-level": {
    method: "GET",
    path: `${repo}/collaborators/Codertocat/permission`,
    status: 200,
  },
  "repos/check-collaborator": { method: "GET", path: `${repo}/collaborators/hubot`, status: 204 },
  "repos/create-dispatch-event": {
    method: "POST",
    path: `${repo}/dispatches`,
    body: { event_type: "flowyard-run", client_payload: { deployment: "a/b" } },
    status: 204,
  },
  "repos/get-all-environments": { method: "GET", path: `${repo}/environments`, status: 200 },
  "repos/get-environment": { method: "GET", path: `${repo}/environments/production`, status: 200 },
  "actions/get-workflow-run": { method: "GET", path: `${repo}/actions/runs/30433642`, status: 200 },
  "rate-limit/get": { method: "GET", path: "/rate_limit", status: 200 },
  "meta/get": { method: "GET", path: "/meta", status: 200 },
  "users/get-by-username": { method: "GET", path: "/users/Codertocat", status: 200 },
};
