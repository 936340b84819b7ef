import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, type Plugin } from "esbuild";
import { collectLicenses, leaveOutSsh, shrinkPackageJson } from "./build-action.ts";
import { runCommand } from "./setup/run-command.ts";

const root = join(import.meta.dirname, "..");
const contextFolder = join(root, ".flowyard/image");
/** As compose.yaml names it. */
const COMPOSE_NETWORK = "flowyard";
/** CommonJS packages in an ES module find what they expect around them. */
const COMMONJS = [
  'import { createRequire as __createRequire } from "node:module";',
  'import { fileURLToPath as __toPath } from "node:url";',
  "const require = __createRequire(import.meta.url);",
  "const __filename = __toPath(import.meta.url);",
  "const __dirname = import.meta.dirname;",
].join("");
/** Read at run time from beside the bundle. */
const BESIDE = {
  "proto/auth.proto": "node_modules/dockerode/lib/proto/auth.proto",
  "proto/buildkit_status.proto": "node_modules/dockerode/lib/proto/buildkit_status.proto",
  "launch-engine.py": "worker/jobs/launch-engine.py",
};

/** pg asks for its native driver and for Cloudflare's sockets in a `try`; neither is here. */
const leaveOutDrivers: Plugin = {
  name: "leave-out-drivers",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(pg-native|pg-cloudflare)$/ }, ({ path }) => ({ path, namespace: "no-driver" }));
    onLoad({ filter: /.*/, namespace: "no-driver" }, ({ path }) => ({
      contents: `throw new Error("${path} is not part of the image");`,
      loader: "js",
    }));
  },
};

/**
 * Makes the folder that the image is built from: the CLI with its packages as ES modules, one file for each command and
 * for what commands share, so that a process loads only what it runs; and the Dockerfile.
 */
export async function buildImageContext(folder = contextFolder): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, "app/proto"), { recursive: true });
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { flowyard: "src/cli/main.ts" },
    bundle: true,
    splitting: true,
    platform: "node",
    target: "node24",
    format: "esm",
    outdir: join(folder, "app"),
    outExtension: { ".js": ".mjs" },
    metafile: true,
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "none",
    charset: "utf8",
    loader: { ".node": "empty" },
    banner: { js: COMMONJS },
    logLevel: "warning",
    plugins: [shrinkPackageJson, leaveOutSsh, leaveOutDrivers],
  });
  for (const [to, from] of Object.entries(BESIDE)) {
    await cp(join(root, from), join(folder, "app", to));
  }
  for (const name of ["Dockerfile", "healthcheck.mjs"]) {
    await cp(join(root, "worker", name), join(folder, name));
  }
  await writeFile(join(folder, "app/compose-job-template.json"), await buildComposeTemplate());
  const inputs = Object.keys(metafile.inputs);
  await writeFile(join(folder, "app/licenses.txt"), await collectLicenses(inputs));
  await cp(join(root, "LICENSE"), join(folder, "app/LICENSE"));
  return folder;
}

/** The base job template of Docker pools, with the network of compose.yaml that runs join. */
export async function buildComposeTemplate(): Promise<string> {
  const template = JSON.parse(await readFile(join(root, "src/prefect-api/docker-base-job-template.json"), "utf8"));
  template.variables.properties.networks.default = [COMPOSE_NETWORK];
  return JSON.stringify(template, null, 2);
}

/** The commit that the image is of: only where git tells one, and nothing was changed since. */
async function describeRevision(): Promise<string[]> {
  const git = (...args: string[]) => runCommand("git", ["-C", root, ...args]);
  const [revision, changes] = await Promise.all([
    git("rev-parse", "HEAD"),
    git("status", "--porcelain", "--untracked-files=no"),
  ]);
  const isKnown = revision.code === 0 && changes.code === 0 && changes.stdout === "";
  return isKnown ? ["--label", `org.opencontainers.image.revision=${revision.stdout}`] : [];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { tag: { type: "string", default: "flowyard:latest" }, "node-image": { type: "string" } },
  });
  const folder = await buildImageContext();
  const nodeImage = values["node-image"];
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const child = spawn(
    "docker",
    [
      "build",
      ...["--tag", values.tag, "--label", `org.opencontainers.image.version=${version}`],
      ...(await describeRevision()),
      ...(nodeImage === undefined ? [] : ["--build-arg", `NODE_IMAGE=${nodeImage}`]),
      folder,
    ],
    { stdio: "inherit" },
  );
  const [code] = await once(child, "close");
  process.exitCode = Number(code ?? 1);
}

if (import.meta.main) {
  await main();
}
