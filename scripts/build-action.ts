import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";

const root = join(import.meta.dirname, "..");

/** What only `docker` over `ssh://` needs; the engine of a bundle is a socket or TCP. */
const SSH_MODULES = /^(ssh2|cpu-features)$/;

/** Of package.json only the version is read; taking in the rest would change the bundle with every script. */
export const shrinkPackageJson: Plugin = {
  name: "shrink-package-json",
  setup({ onLoad }) {
    onLoad({ filter: /package\.json$/ }, async ({ path }) => {
      if (path !== join(root, "package.json")) {
        return undefined;
      }
      const { version } = JSON.parse(await readFile(path, "utf8"));
      return { contents: JSON.stringify({ version }), loader: "json" };
    });
  },
};

export const leaveOutSsh: Plugin = {
  name: "leave-out-ssh",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: SSH_MODULES }, ({ path }) => ({ path, namespace: "left-out" }));
    onLoad({ filter: /.*/, namespace: "left-out" }, ({ path }) => ({
      contents: `exports.Client = class { constructor() { throw new Error("${path} is not part of this bundle: use a Docker engine that listens on a socket or on TCP"); } };`,
      loader: "js",
    }));
  },
};

interface BuiltFile {
  /** Path from the root of the checkout. */
  path: string;
  bytes: Uint8Array;
}

/** The files of `dist/`, without writing them. The same sources give the same bytes. */
export async function buildAction(): Promise<BuiltFile[]> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: ["src/action/main.ts"],
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    outfile: "dist/index.cjs",
    write: false,
    metafile: true,
    minifyWhitespace: true,
    minifySyntax: true,
    // Stack traces of users shall name our functions.
    keepNames: false,
    legalComments: "none",
    charset: "utf8",
    loader: { ".node": "empty" },
    // A bundle resolves no modules of its own; who asks gets nothing and does without.
    define: { "import.meta.url": "undefined" },
    logLevel: "warning",
    plugins: [shrinkPackageJson, leaveOutSsh],
  });
  // dockerode reads these when it is loaded, from a folder beside the bundle.
  const protos = await Promise.all(
    ["auth", "buildkit_status"].map(async (name) => ({
      path: `dist/proto/${name}.proto`,
      bytes: await readFile(join(root, `node_modules/dockerode/lib/proto/${name}.proto`)),
    })),
  );
  const licenses = {
    path: "dist/licenses.txt",
    bytes: Buffer.from(await collectLicenses(Object.keys(metafile.inputs))),
  };
  return [...outputFiles.map(({ contents }) => ({ path: "dist/index.cjs", bytes: contents })), ...protos, licenses];
}

/** The licenses of all packages that are in the bundle ask for their texts to go with it. */
export async function collectLicenses(inputs: readonly string[]): Promise<string> {
  const packages = new Set(
    inputs.flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
  );
  const texts = [...packages].sort().map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(join(root, folder, "package.json"), "utf8"));
    const file = (await readdir(join(root, folder))).sort().find((each) => /^licen[cs]e(\.(md|txt))?$/i.test(each));
    const text = file === undefined ? "" : await readFile(join(root, folder, file), "utf8");
    return `${name} ${version} (${license})\n\n${text.replaceAll("\r\n", "\n").trim()}\n`;
  });
  return (await Promise.all(texts)).join(`\n${"-".repeat(80)}\n\n`);
}

if (import.meta.main) {
  const files = await buildAction();
  await rm(join(root, "dist"), { recursive: true, force: true });
  await mkdir(join(root, "dist/proto"), { recursive: true });
  for (const { path, bytes } of files) {
    await writeFile(join(root, path), bytes);
    process.stdout.write(`${path}  ${(bytes.byteLength / 1e6).toFixed(2)} MB\n`);
  }
}
