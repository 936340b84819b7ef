import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Command } from "commander";
import { extractGlobalOptions, resolveCommandNames } from "../../src/cli/arguments.ts";
import { parseJsonObject, parseKeyValues } from "../../src/cli/options.ts";

describe("global options", () => {
  for (const [argv, expected] of [
    [["deploy"], { profileName: undefined, prompt: undefined, rest: ["deploy"] }],
    [["--no-prompt", "deploy", "-n", "x"], { profileName: undefined, prompt: false, rest: ["deploy", "-n", "x"] }],
    [["deploy", "--no-prompt"], { profileName: undefined, prompt: false, rest: ["deploy"] }],
    [["--profile", "a", "ls"], { profileName: "a", prompt: undefined, rest: ["ls"] }],
    [["ls", "--profile=a", "--prompt"], { profileName: "a", prompt: true, rest: ["ls"] }],
    [["x", "--", "--prompt"], { profileName: undefined, prompt: undefined, rest: ["x", "--", "--prompt"] }],
  ] as const) {
    test(`are taken out of "${argv.join(" ")}"`, () => {
      assert.deepEqual(extractGlobalOptions([...argv]), expected);
    });
  }

  test("--profile without a name is refused", () => {
    assert.throws(() => extractGlobalOptions(["ls", "--profile"]), { code: "USAGE" });
  });
});

describe("command names", () => {
  const program = new Command("flowyard");
  const pool = program.command("work-pool");
  pool.command("set-concurrency-limit");
  pool.command("ls");
  program.command("deploy");

  for (const [words, expected] of [
    [
      ["Work_Pool", "LS"],
      ["work-pool", "ls"],
    ],
    [
      ["workpools", "setConcurrencyLimit", "My_Pool"],
      ["work-pool", "set-concurrency-limit", "My_Pool"],
    ],
    [
      ["work-pool", "--help"],
      ["work-pool", "--help"],
    ],
    [
      ["deploy", "A_B.py:f"],
      ["deploy", "A_B.py:f"],
    ],
  ] as const) {
    test(`"${words.join(" ")}" is "${expected.join(" ")}"`, () => {
      assert.deepEqual(resolveCommandNames(program, [...words]), expected);
    });
  }

  test("an unknown one is answered with the nearest", () => {
    assert.throws(() => resolveCommandNames(program, ["work-pool", "lss"]), { message: /Did you mean "ls"\?/ });
  });
});

describe("key=value options", () => {
  test("take JSON values where they are JSON, and text elsewhere", () => {
    const pairs = ["n=3", "name=Anna", "on=true", 'list=["a"]', "text=a=b", "empty=", 'quoted="3"'];

    assert.deepEqual(parseKeyValues(pairs, "--param"), {
      n: 3,
      name: "Anna",
      on: true,
      list: ["a"],
      text: "a=b",
      empty: "",
      quoted: "3",
    });
  });

  test("without = are refused with the option's name", () => {
    assert.throws(() => parseKeyValues(["n"], "--param"), { code: "USAGE", message: /--param is "n"/ });
    assert.throws(() => parseKeyValues(["=3"], "--param"), { code: "USAGE" });
  });

  for (const text of ["{", "[1]", "3", "null"]) {
    test(`--params ${text} is refused: it is no JSON object`, () => {
      assert.throws(() => parseJsonObject(text, "--params"), { code: "USAGE", message: /--params/ });
    });
  }
});
