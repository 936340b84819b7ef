import { IMAGE_PULL_EVENT, ImagePull } from "../../flowyard-api/run-events.ts";
import { RUN_PHASE_EVENT, RunPhase, type RunTimeline, type TimelineEntry } from "../../flowyard-api/timeline.ts";
import type { ReceivedEvent } from "../../prefect-api/events.ts";
import type { State } from "../../prefect-api/states.ts";
import { secondsBetween } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { Nouns } from "../../storage/store.ts";

const MAX_ENTRIES = 200;
const MAX_DETAIL_CHARACTERS = 500;

type Dated = Omit<TimelineEntry, "seconds_since_previous">;
type TimelineStore = Pick<Nouns, "flowRuns" | "situations" | "events">;

/** What happened to a run and when: its states, and what its workers told. Changes nothing. Throws UserError NOT_FOUND. */
export async function buildRunTimeline(store: TimelineStore, flowRunId: string): Promise<RunTimeline> {
  const run = await store.flowRuns.find(flowRunId);
  if (run === undefined) {
    throw new UserError("NOT_FOUND", `Flow run with id ${flowRunId} not found`);
  }
  const [states, events] = await Promise.all([
    store.situations.listLatestStates(flowRunId, MAX_ENTRIES + 1),
    store.events.list(
      {
        event: { name: [RUN_PHASE_EVENT, IMAGE_PULL_EVENT] },
        resource: { id: [`prefect.flow-run.${flowRunId}`] },
        order: "DESC",
      },
      { after: null, limit: MAX_ENTRIES + 1 },
    ),
  ]);
  const all = [...states.map(describeState), ...events.flatMap(describeEvent)].toSorted(compare);
  return {
    flow_run: { id: run.id, name: run.name },
    entries: addGaps(all.slice(-MAX_ENTRIES)),
    is_cut: all.length > MAX_ENTRIES,
  };
}

/** The plane's word first where two are of the same moment. The text order of timestamps is their order. */
function compare(a: Dated, b: Dated): number {
  return a.at === b.at ? a.source.localeCompare(b.source) : a.at < b.at ? -1 : 1;
}

function addGaps(entries: readonly Dated[]): TimelineEntry[] {
  return entries.map((entry, index) => {
    const before = entries[index - 1];
    return { ...entry, seconds_since_previous: before === undefined ? null : secondsBetween(before.at, entry.at) };
  });
}

function describeState(state: State): Dated {
  const due = state.type === "SCHEDULED" ? state.state_details.scheduled_time : null;
  return {
    phase: state.name.toLowerCase(),
    at: state.timestamp,
    source: "plane",
    state_type: state.type,
    detail: cut(state.message ?? (due ? `due at ${due}` : null)),
  };
}

/** What is no event of ours, though it has the name of one, is left out. */
function describeEvent({ event, occurred, payload }: ReceivedEvent): Dated[] {
  const from = { at: occurred, source: "worker", state_type: null } as const;
  if (event === IMAGE_PULL_EVENT) {
    const pull = ImagePull.safeParse(payload).data;
    return pull === undefined
      ? []
      : [{ ...from, phase: `image-${pull.status}`, detail: cut([pull.image, pull.reason].filter(Boolean).join(": ")) }];
  }
  const phase = RunPhase.safeParse(payload).data;
  return phase === undefined
    ? []
    : [
        {
          ...from,
          phase: phase.phase,
          detail: cut([`worker "${phase.worker_name}"`, phase.detail].filter(Boolean).join(", ")),
        },
      ];
}

function cut(text: string | null): string | null {
  return text === null || text === "" ? null : text.slice(0, MAX_DETAIL_CHARACTERS);
}
