import { askChoice, askText, type Choice } from "../ask.ts";
import type { CliContext } from "../context.ts";

const ENTER_BY_HAND = "";
/** More than anyone scrolls through. */
const MAX_FLOWS = 200;

/** The entrypoint of a flow that was found below the folder, or one that the person types. */
export async function chooseFlow(context: CliContext): Promise<string> {
  const { discoverFlows } = await import("../../project/python/discover-flows.ts");
  context.output.say("Looking for flows …");
  const flows = await discoverFlows(context.workingDirectory, { limit: MAX_FLOWS });
  const choices: Choice<string>[] = flows.map(({ flow_name, entrypoint }) => ({
    label: flow_name,
    value: entrypoint,
    hint: entrypoint,
  }));
  if (choices.length > 0) {
    const byHand = { label: "Enter a flow entrypoint by hand", value: ENTER_BY_HAND };
    const chosen = await askChoice("Select a flow to deploy", [...choices, byHand]);
    if (chosen !== ENTER_BY_HAND) {
      return chosen;
    }
  }
  return askText("Flow entrypoint (path/to/file.py:function_name)", {
    validate: (text) => (/[:.]/.test(text) ? undefined : "Write it as path/to/file.py:function_name."),
  });
}
