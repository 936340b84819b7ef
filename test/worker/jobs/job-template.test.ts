import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../../../src/prefect-api/primitives.ts";
import { fillJobTemplate, mergeJobVariables, resolveReferences } from "../../../worker/jobs/job-template.ts";

function template(job_configuration: JsonObject, properties: Record<string, JsonObject> = {}): JsonObject {
  return { job_configuration, variables: { type: "object", properties } };
}

test("the run's job variables replace the deployment's, and env is merged key by key", () => {
  const merged = mergeJobVariables(
    { image: "a", networks: ["x"], env: { A: "1", B: "2" } },
    { networks: ["y"], env: { B: "3" } },
  );

  assert.deepEqual(merged, { image: "a", networks: ["y"], env: { A: "1", B: "3" } });
});

test("defaults fill what no job variable names, null ones leave the key out", () => {
  const filled = fillJobTemplate(
    template(
      { image: "{{ image }}", mem: "{{ mem }}", name: "{{ name }}" },
      { image: { default: "a" }, mem: { default: null } },
    ),
    { name: "n" },
    {},
  );

  assert.deepEqual(filled, { image: "a", name: "n", env: undefined });
});

test("a value that is one placeholder keeps its type, one inside text is written into it", () => {
  const filled = fillJobTemplate(
    template({ limit: "{{ limit }}", text: "{{ limit }} of {{ gone }}!", list: ["{{ gone }}", "{{ limit }}"] }),
    { limit: 3 },
    {},
  );

  assert.deepEqual(filled, { limit: 3, text: "3 of !", list: [3], env: undefined });
});

test("env of the template, of the defaults and of the job variables are merged in this order", () => {
  const filled = fillJobTemplate(
    template(
      { env: { A: "template", B: "template", C: "template" } },
      { env: { default: { B: "default", C: "default" } } },
    ),
    { env: { C: "given" } },
    {},
  );

  assert.deepEqual(filled, { env: { A: "template", B: "default", C: "given" } });
});

test("dotted job variables are expanded, and nested ones win over them", () => {
  const filled = fillJobTemplate(
    template({ env: "{{ env }}", limits: "{{ limits }}" }),
    { "env.A": "dotted", "env.B": "dotted", env: { B: "nested" }, "limits.cpu.max": 2 },
    {},
  );

  assert.deepEqual(filled, { env: { A: "dotted", B: "nested" }, limits: { cpu: { max: 2 } } });
});

test("a name with a dollar comes from the worker's environment, as text", () => {
  const filled = fillJobTemplate(template({ region: "{{ $REGION }}", none: "{{ $NONE }}" }), {}, { REGION: "eu" });

  assert.deepEqual(filled, { region: "eu", none: "", env: undefined });
});

test("a template without its two parts is refused", () => {
  assert.throws(() => fillJobTemplate({ job_configuration: {} }, {}, {}), { code: "JOB_INVALID" });
});

const server = {
  blockDocuments: {
    find: async (id: string) => (id === "b1" ? { id, data: { username: "u", password: "p" } } : undefined),
    findByName: async (type: string, name: string) =>
      type === "secret" && name === "token" ? { id: "b2", data: { value: "s3cret" } } : undefined,
  },
  variables: {
    findByName: async (name: string) =>
      name === "region" ? { id: "v", created: "", updated: "", name, value: "eu", tags: [] } : undefined,
  },
};

test("blocks and variables of the server are put in, also those that a job variable brought", async () => {
  const filled = fillJobTemplate(
    template({ credentials: "{{ credentials }}", env: "{{ env }}" }),
    {
      credentials: { $ref: { block_document_id: "b1" } },
      env: { TOKEN: "{{ prefect.blocks.secret.token }}", WHERE: "in {{ prefect.variables.region }}" },
    },
    {},
  );

  const resolved = await resolveReferences(server, filled);

  assert.deepEqual(resolved, {
    credentials: { username: "u", password: "p" },
    env: { TOKEN: "s3cret", WHERE: "in eu" },
  });
});

test("a block that does not exist is named", async () => {
  await assert.rejects(resolveReferences(server, { a: { $ref: { block_document_id: "gone" } } }), {
    code: "JOB_INVALID",
    message: /block document gone/,
  });
  await assert.rejects(resolveReferences(server, { a: "{{ prefect.blocks.secret.gone }}" }), {
    code: "TEMPLATE_UNRESOLVED",
    message: /"gone" of type "secret"/,
  });
});
