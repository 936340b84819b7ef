import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// What the action costs before it does anything: from the start of its process to its first line, and its bundle.

const RUNS = 21;
const bundle = join(import.meta.dirname, "../dist/index.cjs");
const event = join(import.meta.dirname, "../test/fixtures/github-events/push.tag.json");

/** Of a push that asks for nothing. */
function timeFirstLine(folder: string): Promise<number> {
  return new Promise((done, fail) => {
    const startedAt = performance.now();
    const child = spawn(process.execPath, [bundle], {
      cwd: folder,
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        PATH: "/usr/local/bin:/usr/bin:/bin",
        HOME: folder,
        GITHUB_EVENT_NAME: "push",
        GITHUB_EVENT_PATH: event,
        GITHUB_REPOSITORY: "Octocoders/Hello-World",
        GITHUB_WORKSPACE: folder,
        GITHUB_OUTPUT: join(folder, "output"),
        GITHUB_STEP_SUMMARY: join(folder, "summary"),
      },
    });
    let firstLineMs: number | undefined;
    child.stdout.on("data", () => {
      firstLineMs ??= performance.now() - startedAt;
    });
    child.on("error", fail);
    child.on("close", (code) =>
      code === 0 && firstLineMs !== undefined ? done(firstLineMs) : fail(new Error(`the action ended with ${code}`)),
    );
  });
}

const folder = mkdtempSync(join(tmpdir(), "flowyard-bench-"));
try {
  for (const file of ["output", "summary"]) {
    writeFileSync(join(folder, file), "");
  }
  const times: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    times.push(await timeFirstLine(folder));
  }
  times.sort((a, b) => a - b);
  const [median = 0, slowest = 0] = [times[Math.floor(RUNS / 2)], times.at(-1)];
  process.stdout.write(
    `start to first line: median ${median.toFixed(0)} ms, slowest of ${RUNS} ${slowest.toFixed(0)} ms (goal <= 400 ms)\n` +
      `bundle: ${(statSync(bundle).size / 1e6).toFixed(2)} MB (goal <= 4 MB)\n`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
