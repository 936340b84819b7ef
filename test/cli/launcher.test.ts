import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { z } from "zod";
import { type Finished, runToEnd, TestProcess } from "../support/child-process.ts";
import { flowyard, plainEnvironment, repositoryRoot } from "../support/plane-process.ts";

const run = promisify(execFile);
const WithId = z.object({ id: z.string() });
const MAX_VERSION_MS = 150;
let folder = "";

describe("the launcher", () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-launcher-"));
  });

  after(() => rm(folder, { recursive: true }));

  function launch(file: string, ...argv: string[]): Promise<Finished> {
    return runToEnd(file, argv, { cwd: folder, env: plainEnvironment(folder), timeoutMs: 20_000 });
  }

  test("the version is that of package.json", async () => {
    const { version } = JSON.parse(await readFile(join(repositoryRoot, "package.json"), "utf8"));

    assert.deepEqual(await launch(flowyard, "--version"), { code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("--version answers within 150 ms", async () => {
    // The best of some: others use the machine, too.
    let bestMs = Number.POSITIVE_INFINITY;
    for (let turn = 0; turn < 8 && bestMs > MAX_VERSION_MS; turn += 1) {
      const before = performance.now();
      await run(flowyard, ["--version"]);
      bestMs = Math.min(bestMs, performance.now() - before);
    }

    assert.ok(bestMs <= MAX_VERSION_MS, `${bestMs} ms`);
  });

  test("output that cannot be written is an error in a sentence, and output that nobody reads is none", async () => {
    const into = (target: string) =>
      runToEnd("sh", ["-c", `"$0" --help ${target}; echo "rc=$?"`, flowyard], {
        cwd: folder,
        env: plainEnvironment(folder),
      });

    const full = await into(">/dev/full");
    const closed = await into("2>&1 | head -n 1");

    assert.match(full.stdout, /rc=1/);
    assert.match(full.stderr, /^Error: the output cannot be written: ENOSPC/);
    assert.match(closed.stdout, /^Usage: flowyard .*\nrc=0\n$/);
  });

  test("a chain of links to the launcher finds its own Node and packages", async () => {
    await mkdir(join(folder, "bin"));
    await symlink(flowyard, join(folder, "first"));
    await symlink("../first", join(folder, "bin", "second"));

    assert.equal((await launch(join(folder, "bin", "second"), "--version")).code, 0);
  });

  test("without installed packages it says how to install them", async () => {
    await mkdir(join(folder, "clone", "bin"), { recursive: true });
    const copy = join(folder, "clone", "bin", "flowyard");
    await copyFile(flowyard, copy);

    const { code, stderr } = await launch(copy, "work-pool", "ls");

    assert.equal(code, 1);
    assert.match(stderr, /not installed[\s\S]*npm ci/);
  });

  test("an old Node on a platform without a packaged one is named", async () => {
    const root = join(folder, "other-platform");
    await mkdir(join(root, "bin"), { recursive: true });
    await mkdir(join(root, "node_modules", "commander"), { recursive: true });
    await copyFile(flowyard, join(root, "bin", "flowyard"));
    await writeFile(join(root, "node"), "#!/bin/sh\necho 20\n", { mode: 0o755 });

    const { code, stderr } = await runToEnd(join(root, "bin", "flowyard"), ["--version"], {
      cwd: folder,
      env: { ...plainEnvironment(folder), PATH: `${root}:/usr/bin:/bin` },
    });

    assert.equal(code, 1);
    assert.match(stderr, /needs Node 24 or newer, and found .*other-platform\/node/);
  });

  for (const argv of [[], ["--help"], ["help", "work-pool"], ["work-pool", "create", "--help"], ["deploy", "-h"]]) {
    test(`flowyard ${argv.join(" ")} prints help to stdout`, async () => {
      const { code, stdout, stderr } = await launch(flowyard, ...argv);

      assert.equal(code, 0);
      assert.match(stdout, /Usage: flowyard/);
      assert.equal(stderr, "");
    });
  }

  test("a command without its verb fails with the help", async () => {
    const { code, stderr } = await launch(flowyard, "work-pool");

    assert.equal(code, 1);
    assert.match(stderr, /Commands:[\s\S]*create/);
  });

  test("the plane starts within the launcher and stops with 0 on SIGINT", async () => {
    const plane = new TestProcess(
      flowyard,
      ["server", "start", "--port", "0", "--database", join(folder, "plane.db")],
      {
        cwd: folder,
        env: plainEnvironment(folder),
      },
    );
    await plane.waitForOutput(/The API is at http:\/\/127\.0\.0\.1:\d+\/api/, 20_000);

    plane.child.kill("SIGINT");

    assert.equal((await plane.finish(20_000)).code, 0);
  });

  test("a command that is interrupted exits 130", async () => {
    const plane = new TestProcess(flowyard, ["server", "start", "--port", "0", "--database", join(folder, "b.db")], {
      cwd: folder,
      env: plainEnvironment(folder),
    });
    await plane.waitForOutput(/The API is at (\S+)/, 20_000);
    const [, apiUrl = ""] = /The API is at (\S+)/.exec(plane.output) ?? [];
    const env = plainEnvironment(folder, { PREFECT_API_URL: apiUrl });
    const flow = await fetch(`${apiUrl}/flows/`, { method: "POST", body: JSON.stringify({ name: "f" }) });
    const { id: flow_id } = WithId.parse(await flow.json());
    const created = await fetch(`${apiUrl}/flow_runs/`, { method: "POST", body: JSON.stringify({ flow_id }) });
    const { id } = WithId.parse(await created.json());
    const watch = new TestProcess(flowyard, ["flow-run", "watch", id], { cwd: folder, env });
    await watch.waitForOutput(/STATE/, 20_000);

    watch.child.kill("SIGINT");

    const { code, stderr } = await watch.finish(20_000);
    assert.equal(code, 130);
    assert.match(stderr, /the run goes on/);
    await plane.stop();
  });
});
