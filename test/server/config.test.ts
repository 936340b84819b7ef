import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseDatabaseSetting, parseServerSettings } from "../../src/server/config.ts";
import { hasCode, UserError } from "../../src/shared/errors.ts";

function refusal(env: Record<string, string>, flags = {}): UserError {
  try {
    parseServerSettings(env, flags);
  } catch (error) {
    assert.ok(error instanceof UserError);
    return error;
  }
  assert.fail("the settings were accepted");
}

test("without any setting the plane listens on loopback and keeps everything under the home", () => {
  const settings = parseServerSettings({ FLOWYARD_HOME: "/data" }, {});

  assert.deepEqual(settings, {
    host: "127.0.0.1",
    port: 4200,
    database: "/data/flowyard.db",
    authString: null,
    logLevel: "info",
    logFormat: "json",
    loops: {
      schedulerSeconds: 5,
      lateAfterSeconds: 15,
      cancellingTimeoutSeconds: 300,
      retention: { runsDays: 90, logsDays: 90, eventsDays: 7 },
    },
  });
});

test("flags win over variables, and an empty variable is one that is not set", () => {
  const env = { FLOWYARD_PORT: "5000", FLOWYARD_HOST: "", FLOWYARD_DATABASE_URL: "a.db", FLOWYARD_AUTH_STRING: "" };

  const settings = parseServerSettings(env, { port: 6000, database: "b.db" });

  assert.deepEqual([settings.host, settings.port, settings.database], ["127.0.0.1", 6000, "b.db"]);
});

test("all wrong variables are told at once, each with what was read", () => {
  const error = refusal({ FLOWYARD_PORT: "http", FLOWYARD_LOG_LEVEL: "loud" });

  assert.equal(error.code, "CONFIG_INVALID");
  assert.match(error.message, /FLOWYARD_PORT is "http"/);
  assert.match(error.message, /FLOWYARD_LOG_LEVEL is "loud".*"warn"/);
});

describe("the database", () => {
  for (const [given, file] of [
    ["plane.db", "plane.db"],
    ["/var/lib/plane.db", "/var/lib/plane.db"],
    ["sqlite:plane.db", "plane.db"],
    ["sqlite:///plane.db", "plane.db"],
    ["sqlite:////var/lib/plane.db", "/var/lib/plane.db"],
  ] as const) {
    test(`${given} is the file ${file}`, () => {
      assert.equal(parseServerSettings({}, { database: given }).database, file);
    });
  }

  test("a URL of PostgreSQL's is taken as it is, SQLAlchemy's spelling too", () => {
    for (const url of [
      "postgres://u:p@db/x",
      "postgresql+asyncpg://u:p@db:5433/x",
      "postgresql:///x?host=%2Frun%2Fpg",
    ]) {
      assert.equal(parseServerSettings({ FLOWYARD_DATABASE_URL: url }, {}).database, url);
    }
  });

  test("a URL of PostgreSQL's that is none is refused without showing the password in it", () => {
    const { message } = refusal({ FLOWYARD_DATABASE_URL: "postgres://u:p#s3cret@[db/x" });

    assert.match(message, /FLOWYARD_DATABASE_URL/);
    assert.doesNotMatch(message, /s3cret/);
  });

  test("another kind is refused by name", () => {
    assert.match(refusal({ FLOWYARD_DATABASE_URL: "mysql://db/x" }).message, /mysql/);
  });
});

describe("an address that others can reach", () => {
  for (const host of ["0.0.0.0", "::", "192.168.1.5", "plane.example.com"]) {
    test(`${host} is refused without credentials`, () => {
      assert.equal(refusal({}, { host }).code, "CREDENTIALS_REQUIRED");
    });
  }

  for (const host of ["127.0.0.1", "127.1.2.3", "localhost", "::1"]) {
    test(`${host} is loopback`, () => {
      assert.equal(parseServerSettings({}, { host }).host, host);
    });
  }

  test("with credentials it is fine", () => {
    assert.equal(parseServerSettings({ FLOWYARD_AUTH_STRING: "a:b" }, { host: "0.0.0.0" }).authString, "a:b");
  });
});

describe("the URL of the database from a file", () => {
  test("is read without the newline at the end, also by who administers it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "flowyard-config-"));
    try {
      const file = join(folder, "url");
      const url = "postgresql://flowyard:s3cret@db:5432/flowyard";
      await writeFile(file, `${url}\n`);
      const env = { FLOWYARD_DATABASE_URL_FILE: file };

      assert.equal(parseServerSettings(env, {}).database, url);
      assert.equal(parseDatabaseSetting(env, undefined), url);
      assert.equal(parseServerSettings(env, { database: "a.db" }).database, "a.db");

      assert.match(refusal({ FLOWYARD_DATABASE_URL_FILE: join(folder, "none") }).message, /cannot be read/);
      await writeFile(file, "postgresql://:s3cret@:no\n");
      assert.doesNotMatch(refusal(env).message, /s3cret/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("and from the environment together are refused, and neither is shown", () => {
    const error = refusal({ FLOWYARD_DATABASE_URL: "postgres://u:very-secret@h/d", FLOWYARD_DATABASE_URL_FILE: "x" });

    assert.ok(hasCode(error, "CONFIG_INVALID"));
    assert.doesNotMatch(error.message, /very-secret/);
  });
});

describe("credentials from a file", () => {
  test("are read without the newline at the end; a file that is missing or empty is refused", async () => {
    const folder = await mkdtemp(join(tmpdir(), "flowyard-config-"));
    try {
      const file = join(folder, "secret");
      await writeFile(file, "a:b\n");
      assert.equal(parseServerSettings({ FLOWYARD_AUTH_STRING_FILE: file }, {}).authString, "a:b");

      await writeFile(file, "\n");
      assert.match(refusal({ FLOWYARD_AUTH_STRING_FILE: file }).message, /empty/);
      assert.match(refusal({ FLOWYARD_AUTH_STRING_FILE: join(folder, "none") }).message, /cannot be read/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("and from the environment together are refused, and no secret is shown", () => {
    const error = refusal({ FLOWYARD_AUTH_STRING: "very-secret", FLOWYARD_AUTH_STRING_FILE: "x" });

    assert.ok(hasCode(error, "CONFIG_INVALID"));
    assert.doesNotMatch(error.message, /very-secret/);
  });
});
