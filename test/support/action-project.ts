import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { plainEnvironment } from "./plane-process.ts";

const run = promisify(execFile);

/** A checkout of a repository: the files given, in a folder of its own. */
export async function makeWorkspace(files: Record<string, string>): Promise<string> {
  const workspace = await mkdtemp(join(tmpdir(), "flowyard-workspace-"));
  await writeFiles(workspace, files);
  return workspace;
}

export async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}

/** Makes what lies in the folder its next commit, at that minute of the fixtures' day. */
export async function commitAll(folder: string, minute: number): Promise<string> {
  const date = new Date(Date.parse("2026-11-23T09:10:00Z") + minute * 60_000).toISOString();
  const env = {
    ...plainEnvironment(folder),
    ...Object.fromEntries(
      ["AUTHOR", "COMMITTER"].flatMap((who) => [
        [`GIT_${who}_NAME`, "Codertocat"],
        [`GIT_${who}_EMAIL`, "codertocat@example.com"],
        [`GIT_${who}_DATE`, date],
      ]),
    ),
  };
  const git = async (...args: string[]) => (await run("git", args, { cwd: folder, env })).stdout.trim();
  await git("init", "--quiet", "--initial-branch=main");
  await git("add", "--all");
  await git("commit", "--quiet", "--allow-empty", "--message", `Commit of minute ${minute}`);
  return git("rev-parse", "HEAD");
}

export async function createWorkPool(apiUrl: string, name: string, type: string): Promise<void> {
  const answer = await fetch(`${apiUrl}/work_pools/`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name, type }),
  });
  assert.equal(answer.status, 201, await answer.text());
}

/** The plane's deployments, of which the test looks at what its shape says. */
export async function listDeployments<Shape extends z.ZodType>(
  apiUrl: string,
  shape: Shape,
): Promise<z.infer<Shape>[]> {
  const answer = await fetch(`${apiUrl}/deployments/filter`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  return z.array(shape).parse(await answer.json());
}

/** The head of a `prefect.yaml` whose deployments' image is built from the Dockerfile beside it and pushed. */
export function describeImageSteps(repository: string): string {
  return `build:
  - prefect_docker.deployments.steps.build_docker_image:
      id: build-image
      image_name: ${repository}
      tag: latest
      dockerfile: Dockerfile
      pull: false
push:
  - prefect_docker.deployments.steps.push_docker_image:
      image_name: "{{ build-image.image_name }}"
      tag: "{{ build-image.tag }}"
`;
}

/** A project without images: its deployments run in a process. */
export function describeProcessProject(deployments: string[] = ["nightly"]): Record<string, string> {
  const entries = deployments.map(
    (name) => `  - name: ${JSON.stringify(name)}
    entrypoint: flow.py:etl
    work_pool: {name: local}
    schedules:
      - {cron: "0 4 * * *"}
`,
  );
  return {
    "prefect.yaml": `name: hello\ndeployments:\n${entries.join("")}`,
    "flow.py": `from prefect import flow\n\n\n@flow(log_prints=True)\ndef etl(days: int = 3):\n    print(f"days: {days}")\n`,
  };
}
