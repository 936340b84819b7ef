import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { gitClone } from "../../src/release/steps/git-clone.ts";
import { runProcess } from "../../src/release/steps/run-process.ts";
import { runShellScript } from "../../src/release/steps/run-shell-script.ts";
import { setWorkingDirectory } from "../../src/release/steps/set-working-directory.ts";
import type { StepContext } from "../../src/release/steps/step.ts";
import { normalizeStepPath, STEPS } from "../../src/release/steps/step-table.ts";
import { UserError } from "../../src/shared/errors.ts";
import { openImageSession } from "./open-image-session.ts";

const env = { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: tmpdir(), USER_NAME: "ada", GIT_CONFIG_GLOBAL: "/dev/null" };
let folder: string;
let written: string;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "flowyard-steps-"));
});
after(() => rm(folder, { recursive: true, force: true }));

function buildContext(directory = folder, signal = new AbortController().signal): StepContext {
  written = "";
  return {
    directory,
    env,
    signal,
    write: (text) => {
      written += text;
    },
    notice: () => undefined,
    images: openImageSession(() => Promise.reject(new Error("no engine in this test"))),
    pushesImages: false,
  };
}

describe("run_shell_script", () => {
  it("runs each line on its own and puts their output together", async () => {
    const script = "echo one\n\n   \necho 'two  words'";

    const { outputs } = await runShellScript.run({ script }, buildContext());

    assert.deepEqual(outputs, { stdout: "one\ntwo  words", stderr: "" });
    assert.equal(written, "one\ntwo  words\n");
  });

  it("expands variables only when it is asked to", async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the step's own syntax
    const script = "echo $USER_NAME ${USER_NAME} $$x $UNKNOWN";

    const plain = await runShellScript.run({ script, stream_output: false }, buildContext());
    const expanded = await runShellScript.run({ script, stream_output: false, expand_env_vars: true }, buildContext());

    assert.equal(plain.outputs["stdout"], script.slice("echo ".length));
    assert.equal(expanded.outputs["stdout"], "ada ada $x $UNKNOWN");
    assert.equal(written, "");
  });

  it("has pipes only with shell: true", async () => {
    const script = "echo a | tr a b";

    const plain = await runShellScript.run({ script }, buildContext());
    const shell = await runShellScript.run({ script, shell: true }, buildContext());

    assert.equal(plain.outputs["stdout"], "a | tr a b");
    assert.equal(shell.outputs["stdout"], "b");
  });

  it("ends at the first line that fails, with what that line said", async () => {
    const script = "sh -c 'echo broken >&2; exit 3'\necho never";

    await assert.rejects(
      runShellScript.run({ script }, buildContext()),
      (error) => error instanceof UserError && /exit code 3: broken/.test(error.message),
    );
    assert.equal(written, "broken\n");
  });

  it("says which program is missing", async () => {
    await assert.rejects(
      runShellScript.run({ script: "no-such-program x" }, buildContext()),
      /"no-such-program" cannot be started/,
    );
  });

  it("ends its program when the deploy is aborted", async () => {
    const abort = new AbortController();

    const running = runShellScript.run({ script: "sleep 60" }, buildContext(folder, abort.signal));
    abort.abort();

    await assert.rejects(running, { name: "AbortError" });
  });
});

describe("set_working_directory", () => {
  it("moves later steps without moving the process", async () => {
    await mkdir(path.join(folder, "sub"), { recursive: true });

    const result = await setWorkingDirectory.run({ directory: "sub" }, buildContext());

    assert.equal(result.directory, path.join(folder, "sub"));
    assert.deepEqual(result.outputs, { directory: path.join(folder, "sub") });
  });

  it("refuses a folder that does not exist", async () => {
    await assert.rejects(setWorkingDirectory.run({ directory: "absent" }, buildContext()), /there is no folder/);
  });
});

describe("git_clone", () => {
  async function git(directory: string, ...args: string[]): Promise<string> {
    const identity = ["-c", "user.name=Dev", "-c", "user.email=dev@example.com"];
    const { signal } = new AbortController();
    const request = { command: "git", args: [...identity, ...args], directory, env, signal, onOutput: () => undefined };
    const finished = await runProcess(request);
    assert.equal(finished.exitCode, 0, finished.stderr);
    return finished.stdout.trim();
  }

  async function createRepository(name: string): Promise<string> {
    const repository = path.join(folder, name);
    await mkdir(repository);
    await git(repository, "init", "-q", "-b", "main");
    await git(repository, "config", "uploadpack.allowAnySHA1InWant", "true");
    await git(repository, "config", "uploadpack.allowFilter", "true");
    await commit(repository, "one");
    return repository;
  }

  async function commit(repository: string, text: string): Promise<string> {
    await writeFile(path.join(repository, "file.txt"), text);
    await git(repository, "add", "-A");
    await git(repository, "commit", "-q", "-m", text);
    return git(repository, "rev-parse", "HEAD");
  }

  it("clones a branch into a folder named after both, and brings it up to date the next time", async () => {
    const repository = await createRepository("origin");
    await git(repository, "checkout", "-q", "-b", "feature/x");
    const work = await mkdtemp(path.join(folder, "work-"));
    const inputs = { repository: `file://${repository}`, branch: "feature/x" };

    const first = await gitClone.run(inputs, buildContext(work));
    await commit(repository, "two");
    const second = await gitClone.run(inputs, buildContext(work));

    assert.deepEqual(first.outputs, { directory: "origin-feature-x" });
    assert.deepEqual(second.outputs, first.outputs);
    assert.equal(await readFile(path.join(work, "origin-feature-x", "file.txt"), "utf8"), "two");
  });

  it("checks out an older commit", async () => {
    const repository = await createRepository("history");
    const old = await git(repository, "rev-parse", "HEAD");
    await commit(repository, "two");
    const work = await mkdtemp(path.join(folder, "work-"));

    await gitClone.run({ repository: `file://${repository}`, commit_sha: old }, buildContext(work));

    assert.equal(await readFile(path.join(work, "history", "file.txt"), "utf8"), "one");
  });

  it("refuses a folder that holds another repository", async () => {
    const first = await createRepository("first");
    const second = await createRepository("second");
    const work = await mkdtemp(path.join(folder, "work-"));
    await gitClone.run({ repository: `file://${first}`, clone_directory_name: "code" }, buildContext(work));

    await assert.rejects(
      gitClone.run({ repository: `file://${second}`, clone_directory_name: "code" }, buildContext(work)),
      /holds a clone of/,
    );
  });

  for (const [what, inputs, message] of [
    ["a branch and a commit", { repository: "x", branch: "a", commit_sha: "abcd" }, /exclude each other/],
    ["a branch that is an option", { repository: "x", branch: "--upload-pack=x" }, /may not start with/],
    ["a commit that is a name", { repository: "x", commit_sha: "main" }, /hexadecimal/],
    ["credentials without a secret", { repository: "https://x/y", credentials: { username: "u" } }, /neither a token/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(async () => gitClone.run(inputs, buildContext()), message);
    });
  }
});

describe("the step table", () => {
  it("knows the paths that Prefect forwards", () => {
    const paths = [
      "prefect.deployments.steps.utility.run_shell_script",
      "prefect.deployments.steps.pull.git_clone",
      "prefect.projects.steps.pull.set_working_directory",
      "prefect.projects.steps.git_clone",
      "prefect_docker.projects.steps.build_docker_image",
      "prefect_docker.deployments.steps.push_docker_image",
    ];

    const unknown = paths.filter((each) => STEPS[normalizeStepPath(each)] === undefined);

    assert.deepEqual(unknown, []);
  });
});
