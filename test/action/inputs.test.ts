import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Inputs, parseInputs, readInputs } from "../../src/action/inputs.ts";
import { hasCode } from "../../src/shared/errors.ts";

describe("inputs", () => {
  const rows: [name: string, text: string, key: keyof Inputs, value: unknown][] = [
    ["mode", "", "mode", "auto"],
    ["mode", " plan ", "mode", "plan"],
    ["prune", "", "prune", undefined],
    ["prune", "false", "prune", "keep"],
    ["prune", "delete", "prune", "delete"],
    ["push", "", "push", false],
    ["push", "TRUE", "push", true],
    ["comment", "false", "comment", false],
    ["deployments", "a, b\n c ", "deployments", ["a", "b", "c"]],
    ["prefect-file", "a/prefect.yaml\nb/*.yaml", "prefect-file", ["a/prefect.yaml", "b/*.yaml"]],
    ["platforms", "linux/amd64,linux/arm64", "platforms", ["linux/amd64", "linux/arm64"]],
    ["build-args", "A=1\nB=x=y", "build-args", ["A=1", "B=x=y"]],
    ["parameters", '{"days": 3}', "parameters", { days: 3 }],
    ["timeout", "90", "timeout", 90],
    ["timeout", "30s", "timeout", 30],
    ["timeout", "15m", "timeout", 900],
    ["timeout", "2h", "timeout", 7200],
    ["run", "etl/nightly", "run", "etl/nightly"],
    ["deployment-names", "a,b", "deployments", ["a", "b"]],
    ["deployment-file-path", "./flows/prefect.yaml", "prefect-file", ["./flows/prefect.yaml"]],
  ];
  for (const [name, text, key, value] of rows) {
    test(`${name}: ${JSON.stringify(text)} is ${JSON.stringify(value)}`, () => {
      assert.deepEqual(parseInputs({ [name]: text })[key], value);
    });
  }

  const wrong: [raw: Record<string, string>, says: RegExp][] = [
    [{ mode: "destroy" }, /mode is "destroy": it must be one of auto, deploy, plan, run, drift/],
    [{ prune: "true" }, /must be false, pause or delete/],
    [{ push: "yes" }, /must be true or false/],
    [{ "server-url": "flows.example.org" }, /must be an http or https URL/],
    [{ parameters: "days=3" }, /must be a JSON object/],
    [{ parameters: "[1]" }, /must be a JSON object/],
    [{ timeout: "soon" }, /must be a time such as/],
    [{ timeout: "0" }, /must be a time such as/],
    [{ "build-args": "NAME" }, /NAME=value/],
    [{ run: "nightly" }, /must be flow\/name/],
    [{ run: "etl/nightly", mode: "deploy" }, /leave one of them out/],
    [{ "deployment-names": "a", deployments: "b" }, /both given/],
    [{ "server-ulr": "x" }, /There is no input "server-ulr"\. Did you mean "server-url"\?/i],
  ];
  for (const [raw, says] of wrong) {
    test(`refused in words: ${JSON.stringify(raw)}`, () => {
      assert.throws(
        () => parseInputs(raw),
        (error) => hasCode(error, "INPUT_INVALID") && says.test(String(error)),
      );
    });
  }

  test("every wrong input is named at once", () => {
    assert.throws(() => parseInputs({ mode: "x", push: "y", timeout: "z" }), /mode[\s\S]*push[\s\S]*timeout/);
  });

  test("a wrong secret is not quoted", () => {
    assert.throws(
      () => parseInputs({ "api-key": "hunter2", mode: "x" }),
      (error) => !String(error).includes("hunter2"),
    );
  });

  test("the runner's variables are read with their hyphens", () => {
    const raw = readInputs({ "INPUT_SERVER-URL": "http://x/api", INPUT_MODE: "plan", PATH: "/bin" });

    assert.deepEqual(raw, { "server-url": "http://x/api", mode: "plan" });
  });

  test("the official action's inputs are taken, and those without sense are told", () => {
    const inputs = parseInputs({
      "deployment-names": "one,two",
      "all-deployments": "true",
      "requirements-file-paths": "requirements.txt",
      "pyproject-toml-path": "pyproject.toml",
    });

    assert.deepEqual(inputs.deployments, []);
    assert.equal(inputs.notices.length, 2);
    assert.match(inputs.notices.join(), /requirements-file-paths[\s\S]*pyproject-toml-path/);
  });
});
