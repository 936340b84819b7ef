import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { listProjectFiles } from "../../src/action/project-files.ts";
import { hasCode } from "../../src/shared/errors.ts";

describe("project files", () => {
  let workspace: string;

  before(async () => {
    workspace = await mkdtemp(join(tmpdir(), "flowyard-projects-"));
    for (const folder of [".", "pipelines/a", "pipelines/b", "node_modules/c"]) {
      await mkdir(join(workspace, folder), { recursive: true });
      await writeFile(join(workspace, folder, "prefect.yaml"), "");
    }
  });
  after(() => rm(workspace, { recursive: true, force: true }));

  const list = async (patterns: string[]) =>
    (await listProjectFiles(workspace, patterns)).map(({ projectPath, file }) => `${projectPath} ${file}`);

  test("are prefect.yaml at the root when nothing is said", async () => {
    assert.deepEqual(await list([]), [". prefect.yaml"]);
  });

  test("are found by pattern, each once, without those of packages", async () => {
    assert.deepEqual(await list(["**/prefect.yaml", "./pipelines/a/prefect.yaml"]), [
      "pipelines/a prefect.yaml",
      "pipelines/b prefect.yaml",
      ". prefect.yaml",
    ]);
  });

  test("outside of the checkout, or matching nothing, are refused", async () => {
    await assert.rejects(list(["../x/prefect.yaml"]), (error) => hasCode(error, "INPUT_INVALID"));
    await assert.rejects(list(["/etc/prefect.yaml"]), (error) => hasCode(error, "INPUT_INVALID"));
    await assert.rejects(list(["none/*.yaml"]), (error) => hasCode(error, "PROJECT_FILE_MISSING"));
  });
});
