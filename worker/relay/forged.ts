import { isUuid } from "../../src/prefect-api/primitives.ts";
import { TransientError } from "../../src/shared/errors.ts";
import type { RelayDeps } from "./relay-deps.ts";
import type { RunStanding } from "./run-standing.ts";
import type { Spooled } from "./spooled.ts";

interface ForgedDependencies extends Pick<RelayDeps, "logger" | "runsReach"> {
  standing: Pick<RunStanding, "findBelonging">;
}

/**
 * What is left when lines and events are dropped that a run said in the name of another one. Not asked when they come,
 * as the plane may be away then. Throws TransientError PLANE_UNREACHABLE while it is.
 */
export async function dropForged(own: ForgedDependencies, entries: readonly Spooled[]): Promise<Spooled[]> {
  const real: Spooled[] = [];
  const forged = new Map<string, number>();
  for (const entry of entries) {
    const spokenFor = own.runsReach === "all" ? undefined : findSpokenFor(entry);
    if (spokenFor === undefined || entry.by === undefined || (await isOwn(own, forged, entry.by, spokenFor))) {
      real.push(entry);
    } else {
      forged.set(entry.by, (forged.get(entry.by) ?? 0) + 1);
    }
  }
  for (const [flow_run_id, entries] of forged) {
    own.logger.warn({ flow_run_id, entries }, "A run spoke for others; what it said was dropped");
  }
  return real;
}

/** Whoever made up so many is not asked about any more: all runs wait for these questions. */
const MAX_FORGED_AT_ONCE = 20;

async function isOwn(
  { standing }: ForgedDependencies,
  forged: ReadonlyMap<string, number>,
  by: string,
  id: string,
): Promise<boolean> {
  if ((forged.get(by) ?? 0) >= MAX_FORGED_AT_ONCE) {
    return false;
  }
  const belonging = await standing.findBelonging(by, { kind: "flow_run", id });
  if (belonging === "unknown") {
    throw new TransientError("PLANE_UNREACHABLE", "The control plane does not say whose run a line is of.");
  }
  return belonging === "own";
}

/** The run that a line or an event of Prefect's or ours is about, where it is not the one that said it. */
function findSpokenFor(entry: Spooled): string | undefined {
  if (entry.as === "worker") {
    return undefined;
  }
  const spokenFor = entry.kind === "log" ? entry.log.flow_run_id?.toLowerCase() : readFlowRun(entry.event);
  return spokenFor === entry.by ? undefined : (spokenFor ?? undefined);
}

const OF_A_FLOW_RUN = /^prefect\.flow-run\.(.*)$/i;

/** Events that others make of their own accord may be about whatever they like. */
function readFlowRun({ event, resource, related }: Extract<Spooled, { kind: "event" }>["event"]): string | undefined {
  if (!/^(?:prefect|flowyard)\./.test(event)) {
    return undefined;
  }
  const about = event.startsWith("prefect.task-run.")
    ? related.find((each) => each["prefect.resource.role"] === "flow-run")?.["prefect.resource.id"]
    : resource["prefect.resource.id"];
  const id = OF_A_FLOW_RUN.exec(about ?? "")?.[1] ?? "";
  return isUuid(id) ? id.toLowerCase() : undefined;
}
