import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { describeAcceptedPermissions } from "../../src/github/permission.ts";

describe("missing permissions", () => {
  for (const [header, says] of [
    ["issues=write; pull_requests=write", "`issues: write` or `pull-requests: write`"],
    ["issues=write;pull_requests=write", "`issues: write` or `pull-requests: write`"],
    ["contents=read,deployments=write", "`contents: read` and `deployments: write`"],
    ["checks=write", "`checks: write`"],
  ] as const) {
    test(`${header} is told as the keys of a workflow`, () => {
      assert.equal(describeAcceptedPermissions(header), says);
    });
  }
});
