import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";

let plane: TestPlane;
let type: { id: string };
let schema: { id: string; checksum: string };

const FIELDS = { title: "Login", properties: { user: {}, token: {} }, secret_fields: ["token", "extra.*"] };

/** A plane for each test of a suite. Hooks outside of suites would run for the tests of all files. */
function usePlane(): void {
  beforeEach(async () => {
    plane = await buildTestPlane();
    type = (await call(plane, "POST", "/block_types/", { name: "Login", slug: "login" })).body;
    schema = (await call(plane, "POST", "/block_schemas/", { fields: FIELDS, block_type_id: type.id })).body;
  });
  afterEach(() => plane[Symbol.asyncDispose]());
}

function createDocument(name: string | null, data: unknown) {
  return call(plane, "POST", "/block_documents/", {
    name,
    data,
    block_schema_id: schema.id,
    block_type_id: type.id,
    is_anonymous: name === null,
  });
}

function readByName(name: string, secrets = false) {
  return call(plane, "GET", `/block_types/slug/login/block_documents/name/${name}?include_secrets=${secrets}`);
}

suite("block types and schemas", () => {
  usePlane();

  test("the same schema again is answered 200 with the first one, and found by its checksum", async () => {
    const again = await call(plane, "POST", "/block_schemas/", { fields: FIELDS, block_type_id: type.id });
    const found = await call(plane, "GET", `/block_schemas/checksum/${schema.checksum}`);
    const other = await call(plane, "GET", `/block_schemas/checksum/${schema.checksum}?version=9`);

    assert.deepEqual([again.status, again.body.id], [200, schema.id]);
    assert.deepEqual([found.body.id, found.body.block_type.slug], [schema.id, "login"]);
    assert.equal(other.status, 404);
  });

  test("a taken slug is 409, and an unknown one 404", async () => {
    assert.equal((await call(plane, "POST", "/block_types/", { name: "Login", slug: "login" })).status, 409);
    assert.equal((await call(plane, "GET", "/block_types/slug/nothing")).status, 404);
  });
});

suite("block documents", () => {
  usePlane();

  test("secrets are masked unless they are asked for, everywhere", async () => {
    const data = { user: "me", token: "s3cr3t", extra: { a: "x", b: { c: 1 } } };
    const created = await createDocument("mine", data);

    const masked = await readByName("mine");
    const clear = await readByName("mine", true);
    const listed = await call(plane, "POST", "/block_documents/filter", {});

    const expected = { user: "me", token: "********", extra: { a: "********", b: { c: "********" } } };
    assert.equal(created.status, 201);
    for (const answer of [created.body, masked.body, listed.body[0]]) {
      assert.deepEqual(answer.data, expected);
    }
    assert.deepEqual(clear.body.data, data);
    assert.deepEqual([clear.body.block_type_name, clear.body.block_schema.checksum], ["Login", schema.checksum]);
  });

  test("a mask that is sent back does not overwrite the secret, and other keys are kept", async () => {
    const { body } = await createDocument("mine", { user: "me", token: "s3cr3t" });

    await call(plane, "PATCH", `/block_documents/${body.id}`, { data: { user: "you", token: "********" } });
    await call(plane, "PATCH", `/block_documents/${body.id}`, { data: { more: 1 } });

    assert.deepEqual((await readByName("mine", true)).body.data, { user: "you", token: "s3cr3t", more: 1 });
  });

  test("a reference shows the other document's data, masked as that is", async () => {
    const inner = await createDocument("inner", { token: "deep" });
    await createDocument("outer", { login: { $ref: { block_document_id: inner.body.id } } });

    const masked = await readByName("outer");
    const clear = await readByName("outer", true);

    assert.deepEqual(masked.body.data, { login: { token: "********" } });
    assert.deepEqual(clear.body.data, { login: { token: "deep" } });
    assert.equal(masked.body.block_document_references.login.block_document.name, "inner");
  });

  test("references in a circle are refused and nothing changes", async () => {
    const first = await createDocument("first", {});
    const second = await createDocument("second", { other: { $ref: { block_document_id: first.body.id } } });

    const circle = await call(plane, "PATCH", `/block_documents/${first.body.id}`, {
      data: { other: { $ref: { block_document_id: second.body.id } } },
    });

    assert.equal(circle.status, 422);
    assert.deepEqual((await readByName("first")).body.data, {});
  });

  test("a taken name is 409, a document without name must be anonymous and is not listed", async () => {
    await createDocument("mine", {});

    const again = await createDocument("mine", {});
    const anonymous = await createDocument(null, {});
    const count = await call(plane, "POST", "/block_documents/count", {});

    assert.deepEqual([again.status, again.body.detail], [409, "Block already exists"]);
    assert.equal(anonymous.status, 201);
    assert.equal(count.body, 1);
  });
});
