import { code, codeBlock, fitBlocks, link, prose, table } from "../github/markdown.ts";
import type { ImageReport } from "../release/images/report-images.ts";
import { countChanges, describePlan } from "./describe-plan.ts";
import { type Ending, failsStep } from "./finish.ts";
import { showPlace } from "./project-files.ts";
import type { ProjectOutcome, Story } from "./story.ts";

export interface SummaryContext {
  environment: string | undefined;
  /** Page of the GitHub run. */
  runUrl: string | undefined;
  sha: string | undefined;
  maxCharacters: number;
}

const MARKS = { failed: "❌", good: "✅", ignored: "⚪" };

/** The report as Markdown: what was decided, what changes, images, what to do next. Cut where its space ends. */
export function buildSummary(story: Story, ending: Ending, context: SummaryContext): string {
  const blocks = [buildHead(ending, context)];
  if (failsStep(ending) && ending.message.includes("\n")) {
    blocks.push(codeBlock(ending.message));
  }
  if (ending.next_step !== "") {
    blocks.push(`**Next:** ${prose(ending.next_step)}`);
  }
  if (story.notes.length > 0) {
    blocks.push(story.notes.map((each) => `- ${prose(each)}`).join("\n"));
  }
  if (story.unknowns.length > 0) {
    blocks.push(`**Not known:**\n${story.unknowns.map((each) => `- ${prose(each)}`).join("\n")}`);
  }
  for (const project of story.projects) {
    blocks.push(...describeProject(project, story.projects.length > 1));
  }
  if (story.flow !== undefined) {
    blocks.push(...describeFlow(story.flow));
  }
  blocks.push(buildFoot(ending, context));
  return fitBlocks(blocks, context.maxCharacters, (count) => {
    const more = `… ${count} more ${count === 1 ? "part" : "parts"}`;
    return `${more}: ${context.runUrl === undefined ? "see the log of the job" : link("the run has them", context.runUrl)}.`;
  });
}

function buildHead(ending: Ending, { environment }: SummaryContext): string {
  const mark = failsStep(ending) ? MARKS.failed : ending.decision === "ignore" ? MARKS.ignored : MARKS.good;
  const [first = ""] = ending.message.split("\n");
  const where = environment === undefined ? "" : ` · ${code(environment)}`;
  return `### ${mark} Flowyard ${ending.decision === "none" ? "" : ending.decision}${where}\n\n${prose(first)}`;
}

function buildFoot(ending: Ending, { sha, runUrl }: SummaryContext): string {
  const parts = [
    code(ending.reason_code),
    ...(sha === undefined ? [] : [`commit ${code(sha.slice(0, 12))}`]),
    ...(runUrl === undefined ? [] : [link("run", runUrl)]),
  ];
  return `<sub>${parts.join(" · ")}</sub>`;
}

function describeProject(project: ProjectOutcome, isOneOfMany: boolean): string[] {
  const { plan } = project;
  const blocks = isOneOfMany ? [`#### ${code(showPlace(project))}`] : [];
  if (plan === undefined) {
    return project.names.length === 0
      ? blocks
      : [...blocks, `Deployments: ${project.names.map((name) => code(name)).join(", ")}`];
  }
  const release = project.release === undefined ? "" : ` · release ${project.release.number}`;
  blocks.push(`**${countChanges(plan.changes)}**${release} · plan ${code(plan.plan_hash.slice(0, 12))}`);
  blocks.push(...describePlan(plan));
  if (project.images.length > 0) {
    blocks.push(describeImages(project.images));
  }
  return blocks;
}

function describeImages(images: readonly ImageReport[]): string {
  const rows = images.map(({ tags, digests, outcome, size_bytes, build_seconds }) => [
    tags.map((tag) => code(tag)).join("<br>"),
    outcome,
    Object.values(digests)
      .map((digest) => (digest === null ? "–" : code(digest.slice(0, "sha256:".length + 12))))
      .join("<br>"),
    size_bytes === null ? "–" : `${(size_bytes / 1e6).toFixed(1)} MB`,
    build_seconds === null ? "–" : `${build_seconds.toFixed(1)} s`,
  ]);
  return table(["image", "", "digest", "size", "build"], rows);
}

function describeFlow({ run, url, lastLines }: NonNullable<Story["flow"]>): string[] {
  const state = run.state_type ?? "SCHEDULED";
  const head = `Flow run ${link(code(run.name), url)}: **${state}** · ${run.total_run_time.toFixed(1)} s`;
  return lastLines.length === 0
    ? [head]
    : [head, `<details><summary>Last lines</summary>\n\n${codeBlock(lastLines.join("\n"))}\n\n</details>`];
}
