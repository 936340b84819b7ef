import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { computeBlockChecksum } from "../../src/orchestration/blocks/block-checksum.ts";

/** The fields of Prefect 3.9.1's own Secret block, as its client sends them. */
const SECRET = {
  block_schema_references: {},
  block_type_slug: "secret",
  description:
    "A block that represents a secret value. The value stored in this block will be obfuscated when this block is viewed or edited in the UI.",
  properties: {
    value: {
      anyOf: [
        { format: "password", type: "string", writeOnly: true },
        { title: "string", type: "string" },
        { $ref: "#/definitions/JsonValue", title: "JSON" },
      ],
      description: "A value that should be kept secret.",
      examples: ["sk-1234567890", { password: "s3cr3t", username: "johndoe" }],
      format: "password",
      title: "Value",
      writeOnly: true,
      position: 0,
    },
  },
  required: ["value"],
  secret_fields: ["value", "value"],
  title: "Secret",
  type: "object",
  definitions: { JsonValue: {} },
};

suite("the checksum of a block's schema", () => {
  test("is the one that Prefect's client looks for", () => {
    assert.equal(
      computeBlockChecksum(SECRET),
      "sha256:c078ed9c1e813e224c0b353d7ad4564a11d51d3198d9ac0686478165a1911c78",
    );
  });

  test("does not depend on the order of keys, and ends for definitions that refer to themselves", () => {
    const node = { properties: { next: { $ref: "#/definitions/Node" } } };
    const fields = { properties: { first: { $ref: "#/definitions/Node" } }, title: "é", definitions: { Node: node } };
    const { title, ...rest } = fields;

    assert.equal(computeBlockChecksum(fields), computeBlockChecksum({ title, ...rest }));
  });
});
