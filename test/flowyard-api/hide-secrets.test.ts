import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HIDDEN, hideSecrets, isSecretName } from "../../src/flowyard-api/hide-secrets.ts";

describe("names that sound secret", () => {
  for (const name of [
    "password",
    "db_password",
    "dbpassword",
    "API-KEY",
    "apiKey",
    "accessKeyId",
    "auth",
    "AUTH_STRING",
  ]) {
    test(`${name} does`, () => assert.equal(isSecretName(name), true));
  }
  for (const name of ["GITHUB_TOKEN", "clientSecret", "credentials", "private_key", "DATABASE_DSN", "tokens"]) {
    test(`${name} does`, () => assert.equal(isSecretName(name), true));
  }
  for (const name of [
    "image",
    "author",
    "monkey",
    "keyboard",
    "authority",
    "passenger",
    "cpu",
    "network_mode",
    "name",
  ]) {
    test(`${name} does not`, () => assert.equal(isSecretName(name), false));
  }
});

describe("texts", () => {
  for (const [text, shown] of [
    ["postgres://user:hunter2@db:5432/etl", `postgres://${HIDDEN}@db:5432/etl`],
    ["https://ghp_abc@github.com/acme/etl.git", `https://${HIDDEN}@github.com/acme/etl.git`],
    ["https://example.com/x?token=hunter2&y=1", `https://example.com/x?token=${HIDDEN}&y=1`],
    ["run --password hunter2 --fast", `run --password ${HIDDEN} --fast`],
    ["API_KEY=hunter2 python etl.py", `API_KEY=${HIDDEN} python etl.py`],
    ["Authorization: Bearer abc.def", `Authorization: Bearer ${HIDDEN}`],
    [`ghp_${"a".repeat(36)}`, HIDDEN],
    ["AKIAIOSFODNN7EXAMPLE", HIDDEN],
    ["-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nrest", `${HIDDEN}\nrest`],
    ["ghcr.io/acme/etl@sha256:abc", "ghcr.io/acme/etl@sha256:abc"],
    ["mail ops@acme.com at 06:00", "mail ops@acme.com at 06:00"],
    ["https://docs.acme.com/a:b", "https://docs.acme.com/a:b"],
  ] as const) {
    test(JSON.stringify(text), () => assert.equal(hideSecrets(text), shown));
  }
});

test("every value of an environment is hidden, in a map and in a list, and its names are not", () => {
  assert.deepEqual(hideSecrets({ env: { MODE: "fast", N: 1, EMPTY: "", NONE: null, ON: true } }), {
    env: { MODE: HIDDEN, N: HIDDEN, EMPTY: "", NONE: null, ON: true },
  });
  assert.equal(hideSecrets("fast", ["job_variables", "env", "MODE"]), HIDDEN);
  assert.deepEqual(hideSecrets({ steps: [{ password: ["a", { b: "c" }], id: "x" }] }), {
    steps: [{ password: [HIDDEN, { b: HIDDEN }], id: "x" }],
  });
});

test("a megabyte of text takes no time", () => {
  const started = performance.now();

  for (const text of ["a.", "http://a", "password=", "--token ", "-----BEGIN ", "Bearer "]) {
    hideSecrets(text.repeat(1_000_000 / text.length));
  }

  assert.ok(performance.now() - started < 2000);
});

test("a text under a secret name never comes through, however deep", () => {
  const secret = fc.string({ minLength: 1 }).map((text) => `s3cr3t-${text}`);
  const key = fc.constantFrom("password", "env", "apiToken", "x_secret_y", "credentials");
  const path = fc.array(fc.string(), { maxLength: 4 });

  fc.assert(
    fc.property(secret, key, path, path, (text, name, outer, inner) => {
      const bury = (value: unknown, keys: string[]) =>
        keys.reduceRight<unknown>(
          (inside, each, index) => (index % 2 === 0 ? { [`k${each}`]: inside } : [inside]),
          value,
        );
      const shown = JSON.stringify(hideSecrets(bury({ [name]: bury(text, inner) }, outer)));
      assert.ok(!shown.includes("s3cr3t-"), shown);
    }),
  );
});
