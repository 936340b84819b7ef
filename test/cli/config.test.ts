import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { loadConfigSources, parseCliConfig } from "../../src/cli/config.ts";
import { saveSetting } from "../../src/cli/settings.ts";

let home = "";

describe("settings", () => {
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "flowyard-config-"));
  });

  afterEach(() => rmSync(home, { recursive: true }));

  const load = (env: Record<string, string> = {}, profileName?: string) =>
    loadConfigSources({ FLOWYARD_HOME: home, ...env }, profileName);

  test("without any setting the plane on this machine is used", () => {
    assert.equal(parseCliConfig(load()).PREFECT_API_URL, "http://127.0.0.1:4200/api");
  });

  test("the environment wins over the profile", () => {
    saveSetting(load(), "PREFECT_API_URL", "http://profile/api");

    assert.equal(parseCliConfig(load()).PREFECT_API_URL, "http://profile/api");
    assert.equal(parseCliConfig(load({ PREFECT_API_URL: "http://env/api" })).PREFECT_API_URL, "http://env/api");
    assert.equal(parseCliConfig(load({ PREFECT_API_URL: "" })).PREFECT_API_URL, "http://profile/api");
  });

  test("the profile file is readable by its owner only", () => {
    saveSetting(load(), "PREFECT_API_KEY", "secret");

    assert.equal(statSync(join(home, "profiles.json")).mode & 0o777, 0o600);
  });

  test("a folder that cannot be written is named, and no draft is left", () => {
    const file = join(home, "file");
    writeFileSync(file, "");

    assert.throws(() => saveSetting({ ...load(), home: join(file, "below") }, "PREFECT_API_KEY", "x"), {
      code: "CONFIG_INVALID",
      message: /profiles\.json cannot be written/,
    });
  });

  test("a secret can come from a file, and the variable itself wins", () => {
    const file = join(home, "secret");
    writeFileSync(file, "admin:pass\n");
    const env = { PREFECT_API_AUTH_STRING_FILE: file };

    assert.equal(parseCliConfig(load(env)).PREFECT_API_AUTH_STRING, "admin:pass");
    assert.equal(parseCliConfig(load({ ...env, PREFECT_API_AUTH_STRING: "x:y" })).PREFECT_API_AUTH_STRING, "x:y");
  });

  test("every wrong value is named with where it comes from", () => {
    saveSetting(load(), "PREFECT_CLI_PROMPT", "maybe");

    assert.throws(
      () => parseCliConfig(load({ PREFECT_API_URL: "localhost" })),
      (error) => {
        assert(error instanceof Error);
        assert.match(error.message, /PREFECT_API_URL is "localhost" in the environment/);
        assert.match(error.message, /PREFECT_CLI_PROMPT is "maybe" in profile "default"/);
        return true;
      },
    );
  });

  for (const [text, expected] of [
    ["1", true],
    ["True", true],
    ["0", false],
    ["off", false],
  ] as const) {
    test(`PREFECT_CLI_PROMPT=${text} is ${expected}`, () => {
      assert.equal(parseCliConfig(load({ PREFECT_CLI_PROMPT: text })).PREFECT_CLI_PROMPT, expected);
    });
  }

  test("an unknown profile is answered with those that there are", () => {
    assert.throws(() => load({}, "defualt"), { code: "CONFIG_INVALID", message: /Did you mean "default"\?/ });
  });

  test("a broken profile file is named, and not overwritten", () => {
    const file = join(home, "profiles.json");
    writeFileSync(file, "{");

    assert.throws(() => load(), { code: "CONFIG_INVALID", message: new RegExp(file) });
    assert.equal(readFileSync(file, "utf8"), "{");
  });
});
