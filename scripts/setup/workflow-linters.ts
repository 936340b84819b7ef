import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "./config.ts";
import { PartMissing } from "./part.ts";
import { ensureUv } from "./python.ts";
import { runCommand } from "./run-command.ts";

const ACTIONLINT_VERSION = "1.7.12";
const ZIZMOR_VERSION = "1.32.0";

/** The two linters that the example workflows are held to. */
export async function setUpWorkflowLinters() {
  const directory = join(cacheDirectory, "linters", "bin");
  await mkdir(directory, { recursive: true });
  const [actionlint, zizmor] = await Promise.all([ensureActionlint(directory), ensureZizmor(directory)]);
  const part = { actionlint, zizmor };
  return { part, found: `actionlint ${ACTIONLINT_VERSION} and zizmor ${ZIZMOR_VERSION} in ${directory}` };
}

async function ensureActionlint(directory: string): Promise<string> {
  const own = join(directory, "actionlint");
  for (const candidate of [own, "actionlint"]) {
    const asked = await runCommand(candidate, ["-version"]);
    if (asked.code === 0 && asked.stdout.includes(ACTIONLINT_VERSION)) {
      return candidate;
    }
  }
  const source = `github.com/rhysd/actionlint/cmd/actionlint@v${ACTIONLINT_VERSION}`;
  const install = await runCommand("go", ["install", source], { env: { GOBIN: directory, GOFLAGS: "" } });
  if (install.code !== 0) {
    const remedy = `install Go, or put actionlint ${ACTIONLINT_VERSION} on the PATH`;
    throw new PartMissing(`go install ${source} fails:\n${install.tail}`, remedy);
  }
  return own;
}

async function ensureZizmor(directory: string): Promise<string> {
  const own = join(directory, "zizmor");
  const asked = await runCommand(own, ["--version"]);
  if (asked.code === 0 && asked.stdout.includes(ZIZMOR_VERSION)) {
    return own;
  }
  const install = await runCommand(await ensureUv(), ["tool", "install", "--quiet", `zizmor==${ZIZMOR_VERSION}`], {
    env: { UV_TOOL_DIR: join(directory, "../tools"), UV_TOOL_BIN_DIR: directory },
  });
  if (install.code !== 0) {
    throw new PartMissing(`zizmor ${ZIZMOR_VERSION} cannot be installed:\n${install.tail}`, "make PyPI reachable");
  }
  return own;
}
