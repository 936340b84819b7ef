import type { PrefectClient } from "../client/prefect-client.ts";
import type { ReleaseImage } from "../flowyard-api/releases.ts";
import type { DeployFlags } from "../project/overlay.ts";
import type { DeploymentToSave } from "../project/save.ts";
import type { Step } from "../project/schema.ts";
import type { Selection } from "../project/select.ts";
import type { Environment } from "../project/template.ts";
import type { StepTable } from "./steps/step-table.ts";

/** What a deploy needs of the client. */
export type DeployClient = Pick<
  PrefectClient,
  "workPools" | "flows" | "deployments" | "automations" | "variables" | "blockDocuments" | "releases"
>;

/** Where a deploy says what it does. Nothing of it is needed to know the result. */
export interface DeployOutput {
  /** What happens now, a line. */
  progress(message: string): void;
  /** What the user should know although the deploy goes on; may have several lines. */
  warn(message: string): void;
  /** Raw output of a build or push step. */
  write(text: string): void;
}

/** How images are built, beyond what their steps say. */
export interface ImageRequest {
  /** Push every image that is built, with or without a push step. */
  push?: boolean;
  parallelBuilds?: number;
  /** For builds that say nothing of the kind. */
  defaults?: ImageDefaults;
}

export interface ImageDefaults {
  platforms?: string[];
  cacheFrom?: string[];
  cacheTo?: string[];
  /** Added to those of the step, which win. */
  buildArgs?: Record<string, string>;
}

export interface DeployRequest {
  /** The project's folder: entrypoints, the project file and steps are seen from here. Absolute. */
  root: string;
  /** As the user wrote it, normally `prefect.yaml`. */
  projectFile: string;
  selection: Selection;
  flags: DeployFlags;
  /** Steps that are added to the top level's, as the wizard's answers are. */
  additions?: { build?: readonly Step[]; push?: readonly Step[]; pull?: readonly Step[] };
  images?: ImageRequest;
  env: Environment;
  client: DeployClient;
  output: DeployOutput;
  signal: AbortSignal;
  /** The steps that can be run; another table only where a test stands at the border. */
  steps?: StepTable;
  onStep?: (run: { step: string; inputs: Record<string, unknown>; outputs?: Record<string, unknown> }) => void;
  now?: () => Date;
}

export interface DeployedDeployment {
  id: string;
  flowName: string;
  name: string;
  /** False when it existed and was changed. */
  created: boolean;
  workPoolName: string;
  workPoolType: string;
  /** False when no worker of the pool is online now. */
  hasWorker: boolean;
  /** For `saveDeployment`. */
  save: DeploymentToSave;
}

export interface DeployResult {
  deployments: DeployedDeployment[];
  images: ReleaseImage[];
}
