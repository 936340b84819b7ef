import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ChaosStage } from "./chaos-stage.ts";
import type { Counters } from "./check.ts";

const MAX_COMPLAINTS = 20;
const MAX_LINES = 40;
const TROUBLE = /WARN|ERROR|"level":"?(warn|error|40|50)/;
const FLOW_RUN_ID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** What is not as it should be in a few words; empty when all is well. */
export function describeVerdict({ "ended as they would have": right, ...wrong }: Counters, runs: number): string {
  const shown = Object.entries(wrong).filter(([, count]) => count !== 0);
  const all = [...(right === runs ? [] : [["ended as they would have", `${right} of ${runs}`]]), ...shown];
  return all.map(([name, count]) => `${name} ${count}`).join(", ");
}

/**
 * For a failed test, from what failed to what may explain it: who is concerned, what plane, workers and relay said of
 * those, and the verdict once more, as of a long log often only the end is kept.
 */
export async function buildReport(chaos: ChaosStage, verdict: string, complaints: readonly string[]): Promise<string> {
  const few = complaints.slice(0, MAX_COMPLAINTS).join("\n");
  const concerned = new Set(few.match(FLOW_RUN_ID) ?? []);
  const relay = await readFile(join(chaos.stage.folder, "relay", "relay.log"), "utf8").catch(() => "");
  const witnessed = (await chaos.readWitness()).map((note) => JSON.stringify(note)).join("\n");
  const logs: [string, string][] = [
    ["flows", witnessed],
    ...chaos.workers.map((worker, index): [string, string] => [`worker ${index + 1}`, worker.log]),
    ["relay", relay],
    ["plane", chaos.stage.plane.process.output],
  ];
  const excerpts = logs.map(([name, log]) => `--- ${name}\n${selectLines(log, concerned).join("\n")}`);
  const left = complaints.length - MAX_COMPLAINTS;
  const more = left > 0 ? `\nand ${left} more` : "";
  return [verdict, `${few}${more}`, ...excerpts, verdict].join("\n");
}

function selectLines(log: string, concerned: ReadonlySet<string>): string[] {
  const isConcerned = (line: string) =>
    TROUBLE.test(line) || (line.match(FLOW_RUN_ID) ?? []).some((id) => concerned.has(id));
  return log.split("\n").filter(isConcerned).slice(-MAX_LINES);
}
