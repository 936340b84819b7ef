import type { Reply } from "./dispatch-payload.ts";
import type { REASON_CODES } from "./reason-codes.ts";

/** The pull request that a decision is about. */
export interface PullRequestRef {
  number: number;
  headSha: string;
  /** Its code was written by people who may not write to this repository; their runs have no credentials. */
  isFork: boolean;
}

export interface RunRequest {
  /** `flow/name` */
  deployment: string;
  parameters: Record<string, unknown>;
  /** The same for every attempt of this step of this GitHub run, so that a re-run starts no second flow run. */
  idempotencyKey: string;
  wait: boolean;
  timeoutSeconds: number | undefined;
}

export interface DeployRequest {
  environment: string;
  /** Empty: all. */
  deployments: string[];
  /** The environment is the one of a pull request: `pr-<number>`. */
  isPreview: boolean;
}

export type IgnoreCode = {
  [Code in keyof typeof REASON_CODES]: (typeof REASON_CODES)[Code] extends "ignored" ? Code : never;
}[keyof typeof REASON_CODES];

/** What this step shall do. */
export type Decision =
  | {
      decision: "deploy";
      deploy: DeployRequest;
      expectedSha: string | undefined;
      reply: Reply | undefined;
      /** The one that it was asked for by. */
      pullRequest: PullRequestRef | undefined;
    }
  | { decision: "plan"; deploy: DeployRequest; pullRequest: PullRequestRef | undefined }
  | { decision: "run"; run: RunRequest; reply: Reply | undefined }
  | { decision: "drift"; deploy: DeployRequest }
  /** To the release before the live one when none is named. */
  | { decision: "rollback"; deploy: DeployRequest; to: string | undefined }
  /** All that a preview has. */
  | { decision: "remove"; deploy: DeployRequest; pullRequest: PullRequestRef | undefined }
  | { decision: "ignore"; reason_code: IgnoreCode; message: string; next_step: string };
