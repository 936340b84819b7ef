import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parseInputs } from "../../src/action/inputs.ts";
import { selectProjects } from "../../src/action/select-projects.ts";
import { hasCode } from "../../src/shared/errors.ts";

function describeProject(names: string[]): string {
  return `deployments:\n${names.map((name) => `  - {name: ${name}, entrypoint: "flow.py:etl"}\n`).join("")}`;
}

describe("deployments of several project files", () => {
  let workspace: string;

  before(async () => {
    workspace = await mkdtemp(join(tmpdir(), "flowyard-select-"));
    for (const [folder, names] of [
      ["a", ["nightly", "hourly"]],
      ["b", ["weekly"]],
    ] as const) {
      await mkdir(join(workspace, folder));
      await writeFile(join(workspace, folder, "prefect.yaml"), describeProject([...names]));
    }
  });
  after(() => rm(workspace, { recursive: true, force: true }));

  async function select(names: string[]): Promise<Record<string, string[]>> {
    const inputs = parseInputs({ "prefect-file": "*/prefect.yaml" });
    const selected = await selectProjects({ workspace, inputs, environment: {} }, names);
    return Object.fromEntries(selected.map((project) => [project.projectPath, project.names]));
  }

  for (const [names, expected] of [
    [[], { a: [], b: [] }],
    [["nightly"], { a: ["nightly"] }],
    [["etl/weekly"], { b: ["etl/weekly"] }],
    [["nightly", "weekly"], { a: ["nightly"], b: ["weekly"] }],
    [["*ly"], { a: ["*ly"], b: ["*ly"] }],
    [["etl/h*"], { a: ["etl/h*"] }],
  ] as [string[], Record<string, string[]>][]) {
    test(`${JSON.stringify(names)} means ${JSON.stringify(expected)}`, async () => {
      assert.deepEqual(await select(names), expected);
    });
  }

  test("a name that no file has is refused, and renames nothing", async () => {
    await assert.rejects(
      select(["nightly", "monthly"]),
      (error) => hasCode(error, "DEPLOYMENT_NOT_SELECTED") && /"monthly"/.test(String(error)),
    );
  });
});
