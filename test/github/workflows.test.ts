import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, describe, test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { type Finished, runToEnd } from "../support/child-process.ts";
import { plainEnvironment, repositoryRoot } from "../support/plane-process.ts";

const { workflowLinters } = await loadMachine();
const skip = workflowLinters.available ? false : workflowLinters.reason;
const workflows = [...(await listWorkflows(".github/examples")), ...(await listWorkflows(".github/workflows"))];

const Step = z.object({ uses: z.string().optional(), with: z.record(z.string(), z.unknown()).default({}) });
const Workflow = z.object({
  permissions: z.record(z.string(), z.string()),
  jobs: z.record(z.string(), z.object({ steps: z.array(Step) })),
});
const Action = z.object({ inputs: z.record(z.string(), z.unknown()) });

async function listWorkflows(folder: string): Promise<string[]> {
  const names = await readdir(join(repositoryRoot, folder));
  return names.filter((name) => /\.ya?ml$/.test(name)).map((name) => `${folder}/${name}`);
}

async function readYaml<T extends z.ZodType>(file: string, schema: T): Promise<z.infer<T>> {
  return schema.parse(parse(await readFile(join(repositoryRoot, file), "utf8")));
}

const UNSAFE = `on: issue_comment
jobs:
  a:
    runs-on: ubuntu-latest
    permissions: write-all
    steps:
      - uses: actions/checkout@v5
      - run: echo "\${{ github.event.comment.body }}"
`;

describe("the workflows of this repository", { skip }, () => {
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), "flowyard-workflows-"));
  });
  after(() => rm(home, { recursive: true, force: true }));

  function lint(program: "actionlint" | "zizmor", files: string[]): Promise<Finished> {
    assert.ok(workflowLinters.available);
    const args = program === "zizmor" ? ["--offline", "--no-progress", "--color", "never"] : ["-no-color"];
    const options = { cwd: repositoryRoot, env: plainEnvironment(home), timeoutMs: 60_000 };
    return runToEnd(workflowLinters[program], [...args, ...files], options);
  }

  for (const program of ["actionlint", "zizmor"] as const) {
    test(`pass ${program}`, async () => {
      const finished = await lint(program, workflows);

      assert.ok(workflows.length > 5);
      assert.equal(finished.code, 0, `${finished.stdout}\n${finished.stderr}`);
    });

    test(`${program} refuses an unsafe one`, async () => {
      const file = join(home, "unsafe.yml");
      await writeFile(file, UNSAFE);

      const finished = await lint(program, [file]);

      assert.notEqual(finished.code, 0);
      assert.match(finished.stdout, /github\.event\.comment\.body/);
    });
  }

  for (const file of workflows) {
    test(`${relative(".github", file)} names actions by commit and inputs that exist`, async () => {
      const { jobs } = await readYaml(file, Workflow);
      const known = Object.keys((await readYaml("action.yml", Action)).inputs);

      for (const step of Object.values(jobs).flatMap((job) => job.steps)) {
        if (step.uses !== undefined) {
          assert.match(step.uses, /^[\w.-]+\/[\w.-]+@[0-9a-f]{40}$/);
        }
        const unknown = Object.keys(step.with).filter((name) => !known.includes(name));
        assert.deepEqual(step.uses?.startsWith("flowyard/") === true ? unknown : [], []);
      }
    });
  }
});
