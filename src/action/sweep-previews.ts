import type { PrefectClient } from "../client/prefect-client.ts";
import { readPreviewNumber } from "../flowyard-api/releases.ts";
import { isPullRequestClosed } from "../github/pull-requests.ts";
import { listPreviews, removePreview } from "../release/remove-preview.ts";
import { errorMessage, TransientError, UserError } from "../shared/errors.ts";
import { buildSource } from "./release-request.ts";
import { connectServer } from "./server.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";

/** Previews that one run looks after; the next one goes on with the others. */
const MAX_SWEPT = 20;

/**
 * Removes the previews of pull requests that are closed: the run that should have done it may have been cancelled, have
 * failed, or have come before a deploy that it overtook. What cannot be done is a warning.
 */
export async function sweepPreviews(step: Step, story: Story): Promise<void> {
  if (step.signal.aborted) {
    return;
  }
  try {
    const client = connectServer(step);
    const environments = await listPreviews(client, step.config.GITHUB_REPOSITORY);
    for (const environment of environments.slice(0, MAX_SWEPT)) {
      if (await isOrphaned(step, environment)) {
        await remove(step, story, client, environment);
      }
    }
  } catch (error) {
    if (!(error instanceof UserError || error instanceof TransientError)) {
      throw error;
    }
    step.runner.warning(`Previews of closed pull requests were not looked for: ${errorMessage(error)}`);
  }
}

/** In doubt it is not. */
async function isOrphaned(step: Step, environment: string): Promise<boolean> {
  const github = await step.findGitHub();
  const number = readPreviewNumber(environment);
  return github !== undefined && number !== undefined && (await isPullRequestClosed(github, number)) === true;
}

async function remove(step: Step, story: Story, client: PrefectClient, environment: string): Promise<void> {
  const { workspace, signal, config } = step;
  const source = await buildSource(step, workspace);
  const removed = await removePreview({ client, repository: config.GITHUB_REPOSITORY, environment, source, signal });
  const count = removed.reduce((sum, { changes }) => sum + changes.length, 0);
  const note = `Removed the preview ${environment}, whose pull request is closed: ${count} deleted.`;
  step.runner.info(note);
  story.notes.push(note);
}
