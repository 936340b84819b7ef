import type { Plan } from "../flowyard-api/releases.ts";
import type { CheckAnnotation } from "../github/checks.ts";
import type { GitHubDeployment } from "../github/deployments.ts";
import type { ImageReport } from "../release/images/report-images.ts";
import type { Decision } from "./decision.ts";
import type { FlowOutcome } from "./run-flow.ts";

/** What became of one project file. */
export interface ProjectOutcome {
  projectPath: string;
  file: string;
  /** Left out where it could not be known, as for a fork's pull request. */
  plan: Plan | undefined;
  images: ImageReport[];
  release: { id: string; number: number } | undefined;
  /** `flow/name` → id. */
  deployments: Record<string, string>;
  /** Names only, when nothing more is known. */
  names: string[];
}

/** What happened so far, for the reports: they tell how far a step came that failed. */
export interface Story {
  /** Undefined until the event was understood. */
  decision: Decision | undefined;
  projects: ProjectOutcome[];
  flow: FlowOutcome | undefined;
  annotations: CheckAnnotation[];
  /** What was done besides, each a sentence. */
  notes: string[];
  /** What could not be known, each a sentence. */
  unknowns: string[];
  /** Begun when there is something to deploy. */
  githubDeployment: Promise<GitHubDeployment | undefined> | undefined;
}

export function createStory(): Story {
  return {
    decision: undefined,
    projects: [],
    flow: undefined,
    annotations: [],
    notes: [],
    unknowns: [],
    githubDeployment: undefined,
  };
}
