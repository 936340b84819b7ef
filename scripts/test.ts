import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { isCi } from "./setup/config.ts";
import { runCommand } from "./setup/run-command.ts";
import { setUpMachine } from "./setup/set-up-machine.ts";
import { type Container, cleanUp, listContainers } from "./test/clean-up.ts";
import { buildTestEnvironment } from "./test/environment.ts";
import { runTier } from "./test/run-tier.ts";
import { addTallies, formatTally, type Tally } from "./test/tally.ts";
import { listTiers } from "./test/tiers.ts";

const USAGE = `npm test                      everything but test/long
npm test -- --long            test/long too
npm test -- --only http,cli   only these: setup, types, lint, contract, a folder of test/
`;

const root = join(import.meta.dirname, "..");

/** One line of the report: a check of the tool chain, or a folder of tests. */
interface Stage {
  name: string;
  /** What `--only` calls it, together with others. */
  group?: string;
  run(): Promise<Tally>;
}

/** Known after the set-up: an engine that was just started may hold containers of an earlier life. */
let containersBefore: Container[] = [];

const { values: flags } = parseArgs({
  options: {
    long: { type: "boolean", default: false },
    only: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});
process.exitCode = flags.help ? printUsage() : await main();

function printUsage(): number {
  process.stdout.write(USAGE);
  return 0;
}

async function main(): Promise<number> {
  const home = await mkdtemp(join(tmpdir(), "flowyard-test-"));
  try {
    const stages = selectStages(await listStages(buildTestEnvironment(home)));
    if (stages === null) {
      return 2;
    }
    await setUp();
    containersBefore = await listContainers();
    const tallies: Tally[] = [];
    for (const stage of stages) {
      tallies.push(await runStage(stage));
    }
    return conclude(addTallies(tallies));
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

async function setUp(): Promise<void> {
  const startedAt = performance.now();
  await setUpMachine();
  printStage("setup", startedAt, "done");
}

/** A gate that checked nothing is red, and CI never passes by skipping. */
function conclude(total: Tally): number {
  const ran = total.passed + total.failed;
  if (ran === 0 && flags.only !== "setup") {
    process.stdout.write("no test ran\n");
  }
  if (total.skipped > 0) {
    const verdict = isCi ? "which fails in CI" : "which would fail in CI";
    process.stdout.write(`${total.skipped} skipped, ${verdict}; the reasons are above\n`);
  }
  process.stdout.write(`\n${formatTally(total)}\n`);
  const isGreen = total.failed === 0 && (ran > 0 || flags.only === "setup") && !(isCi && total.skipped > 0);
  return isGreen ? 0 : 1;
}

async function listStages(environment: NodeJS.ProcessEnv): Promise<Stage[]> {
  const tiers = await listTiers();
  return [
    { name: "types", run: () => check("node_modules/.bin/tsc", ["--noEmit"]) },
    {
      name: "lint",
      run: () => check("node_modules/.bin/biome", ["check", "--error-on-warnings", "--diagnostic-level=warn", "."]),
    },
    { name: "dead-code", run: () => check("node_modules/.bin/knip", []) },
    ...tiers.map((tier) => ({
      name: tier.name,
      group: tier.folder,
      run: () => runTier(tier, { environment, sameCases: !flags.long }),
    })),
    { name: "clean-up", run: () => cleanUp(containersBefore) },
  ];
}

/** Null when `--only` names something that is not there; it has been told then. */
function selectStages(stages: Stage[]): Stage[] | null {
  if (flags.only === undefined) {
    return stages.filter((stage) => stage.name !== "long" || flags.long);
  }
  const names = flags.only.split(",");
  const isNamed = (stage: Stage) => names.some((name) => name === stage.name || name === stage.group);
  const unknown = names.filter(
    (name) => name !== "setup" && !stages.some((stage) => stage.name === name || stage.group === name),
  );
  if (unknown.length > 0) {
    const known = stages.map((stage) => stage.name).join(", ");
    process.stderr.write(`--only: no stage is named ${unknown.join(", ")}; there are: setup, ${known}\n`);
    return null;
  }
  return stages.filter((stage) => isNamed(stage) || (stage.name === "clean-up" && flags.only !== "setup"));
}

async function runStage(stage: Stage): Promise<Tally> {
  const startedAt = performance.now();
  const tally = await stage.run();
  printStage(stage.name, startedAt, `${tally.passed} ok, ${tally.failed} not ok, ${tally.skipped} skipped`);
  return tally;
}

function printStage(name: string, startedAt: number, outcome: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`— ${name.padEnd(24)} ${seconds.padStart(6)} s  ${outcome}\n`);
}

/** A tool that passes or fails as a whole counts as one test. */
async function check(file: string, args: string[]): Promise<Tally> {
  const result = await runCommand(join(root, file), args, { cwd: root });
  if (result.code === 0) {
    return { passed: 1, failed: 0, skipped: 0 };
  }
  process.stdout.write(`${result.output}\n`);
  return { passed: 0, failed: 1, skipped: 0 };
}
