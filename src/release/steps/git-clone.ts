import { stat } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { TransientError, UserError } from "../../shared/errors.ts";
import { retry } from "../../shared/retry.ts";
import { runProcess } from "./run-process.ts";
import { defineStep, type StepContext } from "./step.ts";

const ATTEMPTS = 3;
const FIRST_DELAY_MS = 1000;
const MAX_DELAY_MS = 10_000;

const Credentials = z.looseObject({
  username: z.string().nullish(),
  password: z.string().nullish(),
  token: z.string().nullish(),
  access_token: z.string().nullish(),
});

const Inputs = z
  .object({
    repository: z.string().min(1),
    branch: z.string().regex(/^[^-]/, "a branch may not start with '-'").nullish(),
    commit_sha: z
      .string()
      .regex(/^[0-9a-fA-F]{4,64}$/, "must be 4 to 64 hexadecimal digits; for a branch or tag use branch")
      .nullish(),
    include_submodules: z.boolean().default(false),
    access_token: z.string().nullish(),
    credentials: Credentials.nullish(),
    directories: z.array(z.string()).nullish(),
    clone_directory_name: z.string().nullish(),
  })
  .refine((inputs) => !(inputs.branch && inputs.commit_sha), "branch and commit_sha exclude each other")
  .refine((inputs) => !(inputs.access_token && inputs.credentials), "access_token and credentials exclude each other");
type Inputs = z.infer<typeof Inputs>;

/** Clones, or brings an earlier clone of the same repository up to date. Credentials never reach a message. */
export const gitClone = defineStep(Inputs, async (inputs, context) => {
  const url = addCredentials(inputs);
  const name = inputs.clone_directory_name ?? buildFolderName(inputs);
  const target = path.join(context.directory, name);
  const git = buildGit(context, inputs, url);
  await retry(
    { attempts: ATTEMPTS, firstDelayMs: FIRST_DELAY_MS, maxDelayMs: MAX_DELAY_MS, signal: context.signal },
    async () => {
      if (await isFolder(path.join(target, ".git"))) {
        await update(git, inputs, target);
      } else {
        await clone(git, inputs, url, target);
      }
    },
  );
  return { outputs: { directory: name } };
});

type Git = (args: readonly string[], directory: string) => Promise<string>;

function buildGit(context: StepContext, inputs: Inputs, url: string): Git {
  // Private submodules of the same host need the credentials too; their URLs in .gitmodules do not carry them.
  const bare = new URL("/", inputs.repository.startsWith("https://") ? inputs.repository : "https://none").href;
  const config =
    inputs.include_submodules && url !== inputs.repository
      ? ["-c", `url.${new URL("/", url).href}.insteadOf=${bare}`]
      : [];
  return async (args, directory) => {
    const finished = await runProcess({
      command: "git",
      args: [...config, ...args],
      directory,
      env: { ...context.env, GIT_TERMINAL_PROMPT: "0" },
      signal: context.signal,
      onOutput: () => undefined,
    });
    if (finished.exitCode !== 0) {
      const said = hideCredentials(finished.stderr.trim(), url).split("\n").slice(-3).join(" | ");
      throw new TransientError("STEP_FAILED", `git ${args[0]} ended with exit code ${finished.exitCode}: ${said}`);
    }
    return finished.stdout.trim();
  };
}

async function clone(git: Git, inputs: Inputs, url: string, target: string): Promise<void> {
  const depth = inputs.commit_sha ? ["--filter=blob:none", "--no-checkout"] : ["--depth", "1"];
  const args = [
    "clone",
    ...(inputs.include_submodules ? ["--recurse-submodules"] : []),
    ...(inputs.directories ? ["--sparse"] : []),
    ...(inputs.branch ? ["--branch", inputs.branch] : []),
    ...depth,
    "--",
    url,
    target,
  ];
  await git(args, path.dirname(target));
  await finishCheckout(git, inputs, target);
}

async function update(git: Git, inputs: Inputs, target: string): Promise<void> {
  const origin = await git(["config", "--get", "remote.origin.url"], target);
  if (dropCredentials(origin) !== dropCredentials(inputs.repository)) {
    throw new UserError(
      "STEP_FAILED",
      `${target} holds a clone of ${dropCredentials(origin)}, not of ${dropCredentials(inputs.repository)}.`,
      { hint: "Remove that folder, or choose another clone_directory_name." },
    );
  }
  if (inputs.commit_sha) {
    await git(["fetch", "origin", inputs.commit_sha], target);
  } else {
    await git(["fetch", "origin", ...(inputs.branch ? [inputs.branch] : []), "--depth", "1"], target);
    await git(["reset", "--keep", "FETCH_HEAD"], target);
  }
  await finishCheckout(git, inputs, target);
}

async function finishCheckout(git: Git, inputs: Inputs, target: string): Promise<void> {
  if (inputs.directories) {
    await git(["sparse-checkout", "set", "--", ...inputs.directories], target);
  }
  if (inputs.commit_sha) {
    await git(["checkout", inputs.commit_sha], target);
  }
  if (inputs.include_submodules) {
    await git(["submodule", "update", "--init", "--recursive"], target);
  }
}

function buildFolderName({ repository, branch }: Inputs): string {
  const name = (repository.split(/[/:]/).at(-1) ?? repository).replace(/\.git$/, "");
  return branch ? `${name}-${branch.replaceAll("/", "-")}` : name;
}

/** Puts a token or user and password into an https address in the form that the host wants. */
function addCredentials(inputs: Inputs): string {
  const given = inputs.access_token ? { access_token: inputs.access_token } : inputs.credentials;
  if (!given || !inputs.repository.startsWith("https://")) {
    return inputs.repository;
  }
  const secret = given.access_token ?? ("token" in given ? (given.token ?? given.password) : undefined);
  if (!secret) {
    throw new UserError("STEP_FAILED", "the credentials hold neither a token nor a password.");
  }
  const url = new URL(inputs.repository);
  const username = "username" in given ? given.username : undefined;
  const [user, password] = username ? [username, secret] : splitToken(url.hostname, secret);
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(password);
  return url.href;
}

/** GitLab and Bitbucket want a fixed user beside a token, unless the token brings its own as `user:token`. */
function splitToken(host: string, token: string): [user: string, password: string] {
  const colon = token.indexOf(":");
  if (colon !== -1) {
    return [token.slice(0, colon), token.slice(colon + 1)];
  }
  if (host.includes("gitlab")) {
    return ["oauth2", token];
  }
  return host.includes("bitbucket") ? ["x-token-auth", token] : [token, ""];
}

function dropCredentials(address: string): string {
  return address.replace(/^(\w+:\/\/)[^@/]+@/, "$1");
}

function hideCredentials(text: string, url: string): string {
  const parsed = URL.parse(url);
  const secrets = [parsed?.username, parsed?.password].filter((secret) => secret !== undefined && secret !== "");
  return secrets.reduce<string>(
    (hidden, secret) => hidden.replaceAll(secret ?? "", "***").replaceAll(decodeURIComponent(secret ?? ""), "***"),
    text,
  );
}

function isFolder(target: string): Promise<boolean> {
  return stat(target).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
