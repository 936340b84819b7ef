import { saveStatus, saveVerdict } from "../github/checks.ts";
import { addComment, MAX_COMMENT_CHARACTERS, saveStickyComment } from "../github/comments.ts";
import type { GitHub } from "../github/github.ts";
import { type Ending, failsStep } from "./finish.ts";
import { resultOf } from "./reason-codes.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";
import { buildSummary, type SummaryContext } from "./summary.ts";

const MAX_SUMMARY_CHARACTERS = 250_000; // of 1 MiB; up to four bytes each
const MARKER_CHARACTERS = 500; // of the hidden first line of a sticky comment

/** Page of this GitHub run; undefined outside of one. */
export function findRunUrl({ config }: Pick<Step, "config">): string | undefined {
  const { GITHUB_RUN_ID, GITHUB_REPOSITORY, GITHUB_SERVER_URL } = config;
  return GITHUB_RUN_ID === undefined
    ? undefined
    : `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}/actions/runs/${GITHUB_RUN_ID}`;
}

/** Tells everybody how the step ended. Nothing here changes the ending, and nothing throws for want of a permission. */
export async function report(step: Step, story: Story, ending: Ending): Promise<void> {
  const { runner } = step;
  story.annotations = dropRepeated(story.annotations);
  for (const { severity, message, location } of story.annotations) {
    runner[severity](message, { location });
  }
  const context = buildContext(step, story);
  await runner.summary(buildSummary(story, ending, { ...context, maxCharacters: MAX_SUMMARY_CHARACTERS }));
  if (story.decision === undefined || story.decision.decision === "ignore") {
    return;
  }
  const github = await step.findGitHub();
  if (github === undefined) {
    return;
  }
  await Promise.all([
    finishGitHubDeployment(story, ending),
    saveComment(github, step, story, ending, context),
    saveCheck(github, story, ending, context),
    reply(github, story, ending, context),
  ]);
}

/** A project that is checked before it is deployed is warned about twice. */
function dropRepeated(annotations: Story["annotations"]): Story["annotations"] {
  return [...new Map(annotations.map((each) => [JSON.stringify(each), each])).values()];
}

type Context = Omit<SummaryContext, "maxCharacters">;

function buildContext(step: Step, { decision }: Story): Context {
  const environment = decision !== undefined && "deploy" in decision ? decision.deploy.environment : undefined;
  return { environment, runUrl: findRunUrl(step), sha: findSha(step, decision) };
}

/** The commit that the answer is about: of a pull request its head, not the merge that was tested. */
function findSha({ config }: Step, decision: Story["decision"]): string | undefined {
  if (decision !== undefined && "pullRequest" in decision && decision.pullRequest !== undefined) {
    return decision.pullRequest.headSha;
  }
  return decision?.decision === "deploy" && decision.expectedSha !== undefined
    ? decision.expectedSha
    : config.GITHUB_SHA;
}

async function finishGitHubDeployment({ githubDeployment }: Story, ending: Ending): Promise<void> {
  const deployment = await githubDeployment;
  const state = resultOf(ending.reason_code) === "cancelled" ? "error" : failsStep(ending) ? "failure" : "success";
  await deployment?.finish(state, ending.message);
}

async function saveComment(github: GitHub, step: Step, story: Story, ending: Ending, context: Context): Promise<void> {
  const { decision } = story;
  if (decision === undefined || !("pullRequest" in decision) || decision.pullRequest === undefined) {
    return;
  }
  if (!step.inputs.comment) {
    return;
  }
  if (decision.pullRequest.isFork) {
    return; // its token may only read; the summary has the plan
  }
  const files = step.inputs["prefect-file"].join(" ");
  await saveStickyComment(github, {
    number: decision.pullRequest.number,
    key: JSON.stringify([decision.deploy.environment, files]),
    runId: step.config.GITHUB_RUN_ID ?? "0",
    body: buildSummary(story, ending, { ...context, maxCharacters: MAX_COMMENT_CHARACTERS - MARKER_CHARACTERS }),
  });
}

async function saveCheck(github: GitHub, story: Story, ending: Ending, context: Context): Promise<void> {
  const { decision } = story;
  const isOfFork = decision?.decision === "plan" && decision.pullRequest?.isFork === true;
  if (context.sha === undefined || decision === undefined || !("deploy" in decision) || isOfFork) {
    return;
  }
  const result = resultOf(ending.reason_code);
  await saveVerdict(github, {
    name: `Flowyard ${decision.decision} (${decision.deploy.environment})`,
    sha: context.sha,
    conclusion: result === "cancelled" ? "cancelled" : failsStep(ending) ? "failure" : "success",
    title: ending.message.split("\n")[0] ?? "",
    summary: buildSummary(story, ending, { ...context, maxCharacters: 65_000 }),
    url: context.runUrl,
    annotations: story.annotations,
  });
}

/** Where a dispatch asked for the answer. */
async function reply(github: GitHub, story: Story, ending: Ending, context: Context): Promise<void> {
  const { decision } = story;
  const to = decision !== undefined && "reply" in decision ? decision.reply : undefined;
  if (to === undefined || decision === undefined) {
    return;
  }
  switch (to.to) {
    case "issue":
      await addComment(
        github,
        to.number,
        buildSummary(story, ending, { ...context, maxCharacters: MAX_COMMENT_CHARACTERS }),
      );
      return;
    case "commit":
      await saveStatus(github, {
        sha: to.sha,
        context: to.context ?? `Flowyard ${decision.decision}`,
        state: failsStep(ending) ? "failure" : "success",
        description: ending.message,
        url: context.runUrl,
      });
      return;
    case "nowhere":
      return;
    default:
      return to satisfies never;
  }
}
