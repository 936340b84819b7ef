import type { Command } from "commander";
import type { TimelineEntry } from "../../flowyard-api/timeline.ts";
import { UserError } from "../../shared/errors.ts";
import type { CliContext } from "../context.ts";
import { getFlowRun } from "../flow-runs.ts";
import { addJsonOption, wantsJson } from "../options.ts";
import { requireFeature } from "../require-feature.ts";
import { showLocalTime, styleOfState } from "../show.ts";

const MILLISECONDS = 3;

export function addTimelineCommand(group: Command, context: CliContext): void {
  const command = group
    .command("timeline")
    .description("Show when a flow run was taken, its image pulled, its container started, and what each step took.")
    .argument("<run>", "id, or a name that only one run has");
  addJsonOption(command).action(async (idOrName: string, options) => {
    const client = await context.connect();
    const run = await getFlowRun(client, idOrName);
    const timeline = await client.timelines.find(run.id);
    if (timeline === undefined) {
      await requireFeature(client, "timeline", "keeps no timelines");
      throw new UserError("NOT_FOUND", `Flow run "${run.name}" was deleted meanwhile.`);
    }
    if (wantsJson(options)) {
      context.output.json(timeline);
      return;
    }
    if (timeline.is_cut) {
      context.output.say(`The latest ${timeline.entries.length} steps; there were more.`);
    }
    context.output.table(timeline.entries, [
      { title: "At", value: ({ at }) => `${showLocalTime(at)}.${at.slice(20, 20 + MILLISECONDS)}` },
      { title: "After", value: showGap },
      { title: "Phase", value: ({ phase }) => phase, style: ({ state_type }) => styleOfState(state_type) },
      { title: "Told by", value: ({ source }) => source },
      { title: "Detail", value: ({ detail }) => detail ?? "" },
    ]);
  });
}

function showGap({ seconds_since_previous: seconds }: TimelineEntry): string {
  return seconds === null ? "" : `${seconds < 0 ? "" : "+"}${seconds.toFixed(MILLISECONDS)} s`;
}
