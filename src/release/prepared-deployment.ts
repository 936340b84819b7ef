import type { ValueSource } from "../prefect-api/server-values.ts";
import type { WorkPool } from "../prefect-api/work-pools.ts";
import type { Project } from "../project/load.ts";
import type { Problem } from "../project/problem.ts";
import type { DeploymentToSave } from "../project/save.ts";
import type { Step } from "../project/schema.ts";
import type { Path } from "../project/yaml-file.ts";
import type { ErrorCode } from "../shared/error-codes.ts";
import type { DeployRequest } from "./request.ts";
import type { PlannedStep } from "./run-steps.ts";

export interface FlowFacts {
  name: string;
  description: string | null;
  version: string | null;
  parameter_openapi_schema: Record<string, unknown>;
}

/** A problem with one deployment, at a place of its entry. */
export type Report = (path: Path, message: string, hint?: string, code?: ErrorCode) => Problem;

/** A deployment of which all is known that can be known before its steps run. */
export interface PreparedDeployment {
  /** What the user calls it, for messages. */
  label: string;
  report: Report;
  /** Everything but steps, with blocks, variables and the environment filled in. */
  values: Record<string, unknown>;
  /** Job variables of flags, which templates may name. */
  variables: Record<string, unknown>;
  name: string;
  entrypoint: string;
  flow: FlowFacts;
  workPool: WorkPool;
  build: PlannedStep[];
  push: PlannedStep[];
  pull: Step[];
  /** How it stands or could stand in the file, templates unfilled. */
  save: Omit<DeploymentToSave, "triggers">;
}

/** What all deployments of one deploy share. */
export interface Preparation {
  request: DeployRequest;
  project: Project;
  values: ValueSource;
  /** One question a pool, whatever the number of deployments. */
  findWorkPool(name: string): Promise<WorkPool | undefined>;
}
