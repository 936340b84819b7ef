import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { inspectFlow } from "../../../src/project/python/inspect-flow.ts";
import { UserError } from "../../../src/shared/errors.ts";

let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "flowyard-inspect-"));
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

function write(files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

async function refusal(entrypoint: string): Promise<UserError> {
  try {
    await inspectFlow({ root, entrypoint });
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, "ENTRYPOINT_INVALID");
    return error;
  }
  throw new Error("it was not refused");
}

const FLOW = "from prefect import flow\n\n\n@flow\ndef fetch_all(a: int = 1):\n    pass\n";

describe("an entrypoint that names no flow", () => {
  test("names the function that was probably meant, and those there are", async () => {
    write({ "flows.py": FLOW });

    const error = await refusal("flows.py:fetch_al");

    assert.match(error.message, /"fetch_al".*flows\.py.*Did you mean "fetch_all"\?/);
    assert.match(error.hint ?? "", /fetch_all/);
  });

  test("says that the file is missing", async () => {
    assert.match((await refusal("nowhere.py:main")).message, /no file nowhere\.py/);
  });

  test("says where an undecorated function stands", async () => {
    write({ "flows.py": "x = 1\n\ndef main():\n    pass\n" });

    assert.deepEqual((await refusal("flows.py:main")).location, { file: "flows.py", line: 3, column: 1 });
  });

  test("says where a syntax error is", async () => {
    write({ "flows.py": "from prefect import flow\n\n@flow\ndef main(a: int:\n    pass\n" });

    const { message, location } = await refusal("flows.py:main");

    assert.match(message, /never closed/);
    assert.deepEqual(location, { file: "flows.py", line: 4, column: 9 });
  });

  test("asks for the suffix and the function", async () => {
    assert.match((await refusal("flows:main")).message, /module "flows"/);
    assert.match((await refusal("a/flows:main")).hint ?? "", /a\/flows\.py:main/);
    assert.match((await refusal("flows.py")).hint ?? "", /flows\.py:function_name/);
    await refusal("");
    await refusal(":");
    await refusal("flows");
  });

  test("explains a misspelt option of the decorator", async () => {
    write({ "flows.py": FLOW.replace("@flow", "@flow(retires=2)") });

    assert.match((await refusal("flows.py:fetch_all")).message, /'retires' Did you mean "retries"\?/);
  });
});

describe("the limits of reading", () => {
  test("a file outside the project is not read, not even through a link", async () => {
    const outside = mkdtempSync(join(tmpdir(), "flowyard-outside-"));
    writeFileSync(join(outside, "secret.py"), FLOW);
    symlinkSync(join(outside, "secret.py"), join(root, "link.py"));

    assert.match((await refusal("link.py:fetch_all")).message, /outside the project/);
    assert.match((await refusal(`../${outside.split("/").at(-1)}/secret.py:fetch_all`)).message, /outside the project/);
    rmSync(outside, { recursive: true });
  });

  test("a file above the limit is refused with the limit's name", async () => {
    write({ "flows.py": FLOW + "#".repeat(512 * 1024) });

    assert.match((await refusal("flows.py:fetch_all")).message, /larger than 512 KiB/);
  });

  test("endless code in the file ends the reading of that statement only", async () => {
    write({ "flows.py": `def f(n):\n    return f(n + 1) + f(n + 2)\n\nX = f(0)\n${FLOW.replace("= 1", "= X")}` });

    const flow = await inspectFlow({ root, entrypoint: "flows.py:fetch_all" });

    assert.deepEqual(flow.parameter_openapi_schema.properties["a"], { position: 0, title: "a", type: "integer" });
    assert.match(flow.notices[0]?.message ?? "", /"a": its default is left out/);
  });

  test("values and types that hold themselves many times over are left open", async () => {
    const growth = "A = tuple[A, A]\nX = [X, X]\n".repeat(60);
    const circle = "Y = []\nY.append(Y)\nZ = {}\nZ['z'] = Z\nT = f'{Y}{Z}{Y == [Y]}'\n";
    write({
      "flows.py": `A = int\nX = 1\n${growth}${circle}${FLOW.replace("a: int = 1", "a: A = X, b: str = T, c: list = Y")}`,
    });

    const flow = await inspectFlow({ root, entrypoint: "flows.py:fetch_all" });

    assert.deepEqual(Object.keys(flow.parameter_openapi_schema.properties), ["a", "b", "c"]);
    assert.equal(flow.notices.length, 4);
  });

  test("imports in a circle end", async () => {
    write({ "a.py": `import b\n${FLOW}`, "b.py": "import a\nfrom a import nothing_yet\n" });

    assert.equal((await inspectFlow({ root, entrypoint: "a.py:fetch_all" })).name, "fetch-all");
  });
});

describe("packages that the project does not hold", () => {
  const source = `import pandas as pd\nfrom acme import Runner, Order\n${FLOW.replace("@flow", "@flow(task_runner=Runner())").replace("a: int = 1", "df: pd.DataFrame, o: Order, n: int = 1")}`;

  test("count as installed when the project says what it installs, and their types are left open", async () => {
    write({ "flows.py": source, "requirements.txt": "pandas\n" });

    const flow = await inspectFlow({ root, entrypoint: "flows.py:fetch_all" });

    assert.deepEqual(flow.parameter_openapi_schema.required, ["df", "o"]);
    assert.deepEqual(flow.parameter_openapi_schema.properties["o"], { position: 1, title: "o" });
    assert.equal(typeof flow.version, "string");
    assert.deepEqual(
      flow.notices.map(({ message, location }) => [message, location.line]),
      [['parameter "o": what acme.Order looks like is not known', 7]],
    );
  });

  test("are missing otherwise, and a decorator that needs them cannot be read", async () => {
    write({ "flows.py": source });

    const { message, location } = await refusal("flows.py:fetch_all");

    assert.match(message, /No module named 'pandas'/);
    assert.equal(location?.line, 1);
  });
});

test("a default from the environment is the one for an unset variable, and a notice says so", async () => {
  write({ "flows.py": `import os\n${FLOW.replace("= 1", "= os.getenv('SECRET_TOKEN', 7)")}` });

  const flow = await inspectFlow({ root, entrypoint: "flows.py:fetch_all" });

  assert.deepEqual(flow.parameter_openapi_schema.properties["a"], {
    default: 7,
    position: 0,
    title: "a",
    type: "integer",
  });
  assert.match(flow.notices[0]?.message ?? "", /environment/);
});

test("an absolute path into the project is as good as a relative one", async () => {
  write({ "sub/flows.py": FLOW });

  assert.equal((await inspectFlow({ root, entrypoint: `${join(root, "sub/flows.py")}:fetch_all` })).name, "fetch-all");
  assert.match((await refusal("/etc/hosts.py:main")).message, /no file|outside/);
});

test("code that the grammar does not know is passed over", async () => {
  write({ "flows.py": `${FLOW}\nx = t"template {1}"\nwith (open("a") as b, open("c") as d):\n    pass\n` });

  assert.equal((await inspectFlow({ root, entrypoint: "flows.py:fetch_all" })).name, "fetch-all");
});
