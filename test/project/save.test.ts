import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseProject } from "../../src/project/load.ts";
import { addDeployment, buildNewFile, type DeploymentToSave } from "../../src/project/save.ts";
import { UserError } from "../../src/shared/errors.ts";

const BUILD = {
  "prefect_docker.deployments.steps.build_docker_image": {
    requires: "prefect-docker>=0.3.1",
    id: "build-image",
    dockerfile: "auto",
    image_name: "docker-user/deployment-image",
    tag: "latest",
  },
};

function buildDeployment(change: Partial<DeploymentToSave["entry"]> = {}): DeploymentToSave {
  const entry = {
    name: "my-deployment",
    entrypoint: "my_flow.py:get_repo_info",
    work_pool: { name: "my-docker-pool", job_variables: { image: "{{ build-image.image }}" } },
    ...change,
  };
  return { entry, build: [BUILD], push: [], pull: undefined, triggers: [] };
}

function add(
  text: string,
  change: Partial<DeploymentToSave["entry"]> = {},
  build: DeploymentToSave["build"] = [],
): string {
  return addDeployment("prefect.yaml", text, { ...buildDeployment(change), build });
}

const EXISTING = `# our project
name: shop   # short

pull:
    - prefect.deployments.steps.set_working_directory:
        directory: /srv/app   # in the image

deployments:
  # the nightly one
  - name: nightly
    entrypoint:   flows.py:nightly
    tags: [a,   b]
    work_pool:
      name: pool # shared
    schedules:
    - cron: "0 3 * * *"

  # keep me
  - {name: small, entrypoint: "flows.py:small", work_pool: {name: pool}}
# the end
`;

describe("a new project file", () => {
  it("has the shape of Prefect's tutorial", () => {
    const text = buildNewFile(buildDeployment());

    assert.equal(
      text,
      `# Deployments of this project. Change them here, and deploy again with:
#   flowyard deploy --name <name>

build:
- prefect_docker.deployments.steps.build_docker_image:
    requires: prefect-docker>=0.3.1
    id: build-image
    dockerfile: auto
    image_name: docker-user/deployment-image
    tag: latest

deployments:
- name: my-deployment
  version: null
  tags: []
  description: null
  entrypoint: my_flow.py:get_repo_info
  parameters: {}
  work_pool:
    name: my-docker-pool
    work_queue_name: null
    job_variables:
      image: '{{ build-image.image }}'
  schedule: null
`,
    );
  });

  it("quotes what YAML 1.1 would read as something else", () => {
    const text = buildNewFile(buildDeployment({ version: "1.10", description: "yes", parameters: { at: "12:30:00" } }));

    const [entry] = parseProject("prefect.yaml", text).entries;
    assert.equal(entry?.entry?.version, "1.10");
    assert.equal(entry?.entry?.description, "yes");
    assert.deepEqual(entry?.entry?.parameters, { at: "12:30:00" });
  });
});

describe("saving into an existing file", () => {
  it("adds an entry and leaves every other character as it was", () => {
    const text = add(EXISTING);

    const added = text.indexOf("  - name: my-deployment\n");
    assert.equal(text.slice(0, added), EXISTING.slice(0, EXISTING.indexOf("# the end")));
    assert.ok(text.endsWith("# the end\n"));
    assert.match(
      text.slice(added),
      /^ {2}- name: my-deployment\n {4}version: null\n[\s\S]* {8}image: '\{\{ build-image\.image \}\}'\n/,
    );
  });

  it("changes only the keys whose value is another one", () => {
    const text = add(EXISTING, {
      name: "nightly",
      entrypoint: "flows.py:nightly",
      tags: ["a", "b"],
      description: "every night",
      work_pool: { name: "other", job_variables: {} },
      schedules: [{ cron: "0 3 * * *" }],
    });

    assert.ok(text.includes("    entrypoint:   flows.py:nightly\n    tags: [a,   b]\n"), text);
    assert.ok(text.includes('    schedules:\n    - cron: "0 3 * * *"\n    description: every night\n'), text);
    assert.ok(text.includes("  # the nightly one\n  - name: nightly\n"), text);
    assert.ok(text.includes("      name: other\n"), text);
    assert.ok(text.includes("  # keep me\n"), text);
  });

  it("changes an entry that is written on one line", () => {
    const text = add(EXISTING, {
      name: "small",
      entrypoint: "flows.py:small",
      description: "d",
      work_pool: { name: "pool" },
    });

    const entry = parseProject("prefect.yaml", text).entries[1]?.entry;
    assert.equal(entry?.description, "d");
    assert.ok(text.includes("  # keep me\n  - {"), text);
  });

  it("says the build step in the entry when the file's top level has another one", () => {
    const text = add(EXISTING, {}, [BUILD]);

    const entry = parseProject("prefect.yaml", text).entries[2]?.entry;
    assert.deepEqual(entry?.build, [BUILD]);
  });

  it("does not repeat a build step that the top level has", () => {
    const text = add(buildNewFile(buildDeployment()), { name: "second" }, [BUILD]);

    assert.equal(parseProject("prefect.yaml", text).entries[1]?.entry?.build, undefined);
  });

  for (const [what, text] of [
    ["an empty file", ""],
    ["a file of comments", "# nothing yet\n"],
    ["a file without deployments", "name: shop\n"],
    ["an empty list", "deployments: []   # none\nname: shop\n"],
    ["a list in brackets", "deployments: [{name: a, entrypoint: 'f.py:a'}]\n"],
    ["a file without a last newline", "deployments:\n- name: a\n  entrypoint: f.py:a"],
    [
      "a last entry that ends in a block of text",
      "deployments:\n- name: a\n  description: |\n    one\n    two\n\nname: shop\n",
    ],
    ["Windows line ends", "name: shop\r\ndeployments:\r\n- name: a\r\n  entrypoint: f.py:a\r\n"],
    ["merged entries", "d: &d\n  entrypoint: f.py:a\ndeployments:\n- <<: *d\n  name: a\n"],
  ] as const) {
    it(`adds the entry to ${what}`, () => {
      const changed = add(text);

      const project = parseProject("prefect.yaml", changed);
      assert.deepEqual(
        project.problems.filter((problem) => problem.severity === "error"),
        [],
        changed,
      );
      assert.equal(project.entries.at(-1)?.name, "my-deployment", changed);
      assert.equal(changed.includes("\r\n"), text.includes("\r\n"));
      if (text.includes("\r\n")) {
        assert.ok(!/[^\r]\n/.test(changed), JSON.stringify(changed));
      }
    });
  }

  it("refuses a file that is not valid YAML and names the place", () => {
    assert.throws(
      () => add("deployments: [\n"),
      (error) =>
        error instanceof UserError &&
        error.code === "PROJECT_FILE_INVALID" &&
        /prefect\.yaml:\d+:\d+/.test(error.message),
    );
  });
});
