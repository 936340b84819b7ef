import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { buildProjectError, loadProject, type Project, parseProject } from "../../src/project/load.ts";
import { describeProblem } from "../../src/project/problem.ts";
import { parseYamlFile } from "../../src/project/yaml-file.ts";
import { UserError } from "../../src/shared/errors.ts";

function listMessages(project: Project): string[] {
  const all = [...project.problems, ...project.entries.flatMap((entry) => entry.problems)];
  return all.map((problem) => describeProblem({ ...problem, frame: "" }));
}

function parse(text: string): string[] {
  return listMessages(parseProject("prefect.yaml", text));
}

describe("a problem of a project file", () => {
  it("is told with its line, its column and the lines around it", () => {
    const project = parseProject("prefect.yaml", "deployments:\n- name: a\n  paused: perhaps\n  tags: [x]\n");

    const error = buildProjectError(
      project.entries.flatMap((entry) => entry.problems),
      "Invalid.",
    );

    assert.deepEqual(error.location, { file: "prefect.yaml", line: 3, column: 11 });
    assert.equal(
      error.message,
      `Invalid.

prefect.yaml:3:11: deployment "a": paused is "perhaps", but must be true or false.
  1 | deployments:
  2 | - name: a
> 3 |   paused: perhaps
    |           ^
  4 |   tags: [x]`,
    );
  });

  it("does not hide the problems of other entries or of the top level", () => {
    const messages = parse(`name: 7
deployments:
- name: a
  schedules: [{cron: "x"}]
- 5
- name: 2024
  parameters: null
  work_pool: {name: p, job_variables: []}
`);

    assert.deepEqual(messages, [
      'prefect.yaml:1:7: name is 7, must be text; put it in quotes. Write "7".',
      'prefect.yaml:4:22: deployment "a": Invalid cron string: "x": it has 1 field; allowed are five (minute, hour, day of month, month, day of week), a sixth for seconds, a seventh for years, or a word such as @daily.',
      "prefect.yaml:5:3: deployment #2: is 5, but must be a deployment (a mapping).",
      'prefect.yaml:6:9: deployment #3: name is 2024, must be text; put it in quotes. Write "2024".',
      "prefect.yaml:7:15: deployment #3: parameters is null (empty), but must be a mapping.",
      "prefect.yaml:8:24: deployment #3: work_pool.job_variables is a list, but must be a mapping.",
    ]);
  });

  for (const [what, text, expected] of [
    [
      "a version that YAML reads as a number",
      "deployments:\n- version: 1.10\n",
      'prefect.yaml:2:12: deployment #1: version is 1.1, must be text; put it in quotes. Write "1.10".',
    ],
    [
      "unquoted braces",
      "deployments:\n- name: {{ x }}\n",
      'prefect.yaml:2:9: unquoted {{ }}: YAML reads it as a mapping inside a mapping. Text with {{ }} must stand in quotes in YAML: write "{{ name }}".',
    ],
    [
      "unquoted braces with text after them",
      "deployments:\n- name: {{ x }}:latest\n",
      'prefect.yaml:2:9: unquoted {{ }}: YAML reads it as a mapping inside a mapping. Text with {{ }} must stand in quotes in YAML: write "{{ name }}".',
    ],
    [
      "a key of a schedule that Prefect 2 had",
      "deployments:\n- schedules:\n  - cron: '@daily'\n    timezon: UTC\n",
      'prefect.yaml:4:5: deployment #1: schedules[0]: unknown key "timezon". Did you mean "timezone"? Allowed are cron, interval, rrule, timezone, anchor_date, day_or, active, parameters, slug, replaces.',
    ],
    [
      "an unknown key of an entry",
      "deployments:\n- entry_point: f.py:f\n",
      'prefect.yaml:2:3: warning: deployment #1: unknown key "entry_point" is ignored. Did you mean "entrypoint"?',
    ],
    [
      "a step that is text",
      "build:\n- make\n",
      'prefect.yaml:2:3: build[0] is "make", but must be a step (a mapping).',
    ],
    [
      "a list as the file",
      "- a\n",
      'prefect.yaml:1:1: the file holds a list, but must be a mapping with the key "deployments".',
    ],
  ] as const) {
    it(`explains ${what}`, () => {
      assert.deepEqual(parse(text), [expected]);
    });
  }

  it("points into the anchor that the value comes from", () => {
    const messages = parse(`definitions:
  pool: &pool
    name: 5
deployments:
- {name: a, work_pool: *pool}
- name: b
  work_pool:
    <<: *pool
`);

    assert.deepEqual(messages, [
      'prefect.yaml:3:11: deployment "a": work_pool.name is 5, must be text; put it in quotes. Write "5".',
      'prefect.yaml:3:11: deployment "b": work_pool.name is 5, must be text; put it in quotes. Write "5".',
    ]);
  });
});

describe("keys that only hold anchors", () => {
  it("are no problem at the top level", () => {
    assert.deepEqual(
      parse("x-pools: {a: 1}\n.hidden: 1\nbase: &base {name: a}\ndefinitions: {}\ndeployments: []\n"),
      [],
    );
  });
});

describe("plain YAML values", () => {
  it("are read as PyYAML reads them", () => {
    const text = `[yes, y, On, n, 1e3, 1.5e+3, 017, 0o17, 0x1F, 0b11, 1_000, 12:30, 1:30.5, .5, ~, '', 2024-05-06, 2001-12-14 21:59:43.10 -5, =, 08, -.inf]`;

    const { value } = parseYamlFile("x.yaml", text);

    assert.deepEqual(value, [
      true,
      "y",
      true,
      "n",
      "1e3",
      1500,
      15,
      "0o17",
      31,
      3,
      1000,
      750,
      90.5,
      0.5,
      null,
      "",
      "2024-05-06",
      "2001-12-14T21:59:43.100000-05:00",
      "=",
      "08",
      Number.NEGATIVE_INFINITY,
    ]);
  });

  it("are refused when aliases would make millions of them", () => {
    const levels = Array.from({ length: 9 }, (_, level) => {
      const inner = level === 0 ? "x" : `*l${level - 1}`;
      return `l${level}: &l${level} [${Array.from({ length: 10 }, () => inner).join(", ")}]`;
    });

    const { value, problems } = parseYamlFile("x.yaml", levels.join("\n"));

    assert.equal(value, undefined);
    assert.match(problems[0]?.message ?? "", /more than 1000000 values/);
  });

  it("are refused when an anchor holds itself", () => {
    assert.match(parse("a: &a [*a]\n")[0] ?? "", /holds itself/);
  });
});

describe("loading a project file", () => {
  it("reads a file with byte order mark and names the line that is not UTF-8", async () => {
    const root = await mkdtemp(path.join(tmpdir(), "flowyard-load-"));
    try {
      await writeFile(path.join(root, "bom.yaml"), "\uFEFFname: a\n");
      await writeFile(path.join(root, "latin.yaml"), Buffer.from("name: a\n# caf\xe9\n", "latin1"));

      const project = await loadProject(root, "bom.yaml");

      assert.equal(project.head.name, "a");
      await assert.rejects(
        loadProject(root, "latin.yaml"),
        (error) => error instanceof UserError && error.location?.line === 2,
      );
      await assert.rejects(loadProject(root, "."), { code: "PROJECT_FILE_INVALID" });
      assert.equal((await loadProject(root, "absent.yaml")).exists, false);
    } finally {
      await rm(root, { recursive: true });
    }
  });

  it("reads two thousand deployments in a moment", () => {
    const entry = (index: number) =>
      `- name: d${index}\n  entrypoint: flow.py:f\n  work_pool: {name: p}\n  schedules: [{cron: "0 1 * * *"}]\n`;
    const text = `deployments:\n${Array.from({ length: 2000 }, (_, index) => entry(index)).join("")}`;
    const startedAt = performance.now();

    const project = parseProject("prefect.yaml", text);

    assert.equal(project.entries.length, 2000);
    assert.ok(performance.now() - startedAt < 10_000);
  });
});
