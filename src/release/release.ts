import type { PrefectClient } from "../client/prefect-client.ts";
import {
  type Change,
  type Plan,
  type Prune,
  type Release,
  type ReleaseCandidate,
  type ReleaseScope,
  type ReleaseSource,
  readPreviewNumber,
} from "../flowyard-api/releases.ts";
import { UserError } from "../shared/errors.ts";
import { buildReady } from "./build-ready.ts";
import { buildCandidate } from "./candidate.ts";
import { listReleaseImages } from "./images/image-session.ts";
import { type ImageReport, reportImages } from "./images/report-images.ts";
import { type PreparedProject, prepareProject } from "./prepare-project.ts";
import type { DeployRequest } from "./request.ts";
import { runAllSteps } from "./run-all-steps.ts";
import { applyOnStockServer, planOnStockServer } from "./stock-server.ts";

export interface ReleaseRequest extends DeployRequest {
  client: PrefectClient;
  scope: ReleaseScope;
  source: ReleaseSource;
  /** `pause` when left out, and `keep` for a part of the project. */
  prune?: Prune | undefined;
  adopt: boolean;
  /** The environment is a preview's, `pr-<number>`. */
  isPreview?: boolean | undefined;
}

export interface PlanResult {
  plan: Plan;
  images: ImageReport[];
  /** Names of the steps whose effects and outputs a plan cannot know. */
  skippedSteps: string[];
  /** The server keeps no releases: the plan is ours, and would be applied deployment by deployment. */
  isStockServer: boolean;
}

export interface ReleaseResult {
  /** Null on a stock server, which keeps none. */
  release: Release | null;
  changes: Change[];
  /** `flow/name` → id. */
  deployments: Record<string, string>;
  /** False when everything was as it should be already. */
  changed: boolean;
  images: ImageReport[];
}

/** What a release would change. Runs no step with effects, builds nothing, changes nothing anywhere. */
export async function planRelease(request: ReleaseRequest): Promise<PlanResult> {
  const prepared = await prepareProject(request);
  const isStockServer = await isStock(request);
  const { candidate, images } = await draft(prepared, request);
  const plan = await planCandidate(request, candidate, isStockServer);
  return { plan, images, skippedSteps: listSkippedSteps(prepared), isStockServer };
}

function listSkippedSteps({ prepared }: PreparedProject): string[] {
  const steps = prepared.flatMap(({ build, push }) => [...build, ...push]);
  return [...new Set(steps.filter(({ step }) => step.effects === "any").map(({ name }) => name))];
}

/**
 * Builds, pushes and applies: on our plane in one transaction, on a stock Prefect server deployment by deployment. With
 * a plan hash only what that plan showed is done. Whatever is refused is refused before anything is built, where it can
 * be known by then.
 * Throws PLAN_CHANGED, RELEASE_CONFLICT, RELEASE_OUTDATED, RELEASE_INCOMPLETE, and what `deploy` throws.
 */
export async function release(request: ReleaseRequest, planHash: string | undefined): Promise<ReleaseResult> {
  const prepared = await prepareProject(request);
  const isStockServer = await isStock(request);
  const needsDraft =
    planHash !== undefined || prepared.prepared.some(({ build, push }) => build.length + push.length > 0);
  const before = needsDraft ? await draft(prepared, request) : undefined;
  const shown = before === undefined ? undefined : await planCandidate(request, before.candidate, isStockServer);
  if (shown !== undefined) {
    refuse(shown, planHash);
  }
  const steps = await runAllSteps(prepared, { planOnly: false });
  const ready = await buildReady(prepared, steps);
  const images = reportImages(steps.images.images());
  const candidate = buildCandidate(ready, listReleaseImages(steps.images.images()), decideFacts(prepared, request));
  const checked = await bindPlan(request, { before: before?.candidate, candidate, planHash, isStockServer });
  return isStockServer
    ? applyToStock(request, candidate, checked, images)
    : applyToPlane(request, candidate, checked, images);
}

/** The candidate as far as it is known without running or building anything. */
async function draft(
  prepared: PreparedProject,
  request: ReleaseRequest,
): Promise<{ candidate: ReleaseCandidate; images: ImageReport[] }> {
  const steps = await runAllSteps(prepared, { planOnly: true });
  const ready = await buildReady(prepared, steps);
  const images = steps.images.images();
  const candidate = buildCandidate(ready, listReleaseImages(images), decideFacts(prepared, request));
  return { candidate, images: reportImages(images) };
}

/** A part of the project is no reason to prune the rest of it. */
function decideFacts({ isPart }: PreparedProject, { scope, source, prune, adopt, isPreview }: ReleaseRequest) {
  if (isPreview === true && readPreviewNumber(scope.environment) === undefined) {
    throw new UserError("USAGE", `"${scope.environment}" is no environment of a preview.`, {
      hint: "A preview's environment is pr- and the number of its pull request: --environment pr-7 --preview.",
    });
  }
  if (isPart && prune !== undefined && prune !== "keep") {
    throw new UserError("USAGE", `prune is "${prune}", but only a part of the project's deployments is selected.`, {
      hint: "Select all of them, or leave prune out.",
    });
  }
  return { scope, source, prune: prune ?? (isPart ? "keep" : "pause"), adopt, isPreview: isPreview === true };
}

async function isStock({ client }: ReleaseRequest): Promise<boolean> {
  const capabilities = await client.releases.findCapabilities();
  return !(capabilities?.features ?? []).includes("releases");
}

async function planCandidate(
  { client, signal }: ReleaseRequest,
  candidate: ReleaseCandidate,
  isStockServer: boolean,
): Promise<Plan> {
  return isStockServer
    ? (await planOnStockServer(client, candidate, signal)).plan
    : await client.releases.plan(candidate);
}

/** A plan without any change is what was asked for already: a re-run of a deploy whose answer was lost. */
function refuse(plan: Plan, planHash: string | undefined): void {
  if (plan.refusal !== null) {
    throw new UserError(plan.refusal.code, plan.refusal.message);
  }
  if (planHash !== undefined && plan.plan_hash !== planHash && hasChanges(plan)) {
    throw buildPlanChanged(planHash, plan);
  }
}

function hasChanges({ changes }: Plan): boolean {
  return changes.some(({ action }) => action !== "unchanged");
}

function buildPlanChanged(planHash: string, plan: Plan): UserError {
  return new UserError(
    "PLAN_CHANGED",
    `The plan is no longer the one with the hash ${planHash}: it is ${plan.plan_hash} now. Nothing was changed.`,
    { hint: "Look at the new plan with `flowyard plan`, and deploy that one." },
  );
}

interface Binding {
  before: ReleaseCandidate | undefined;
  candidate: ReleaseCandidate;
  planHash: string | undefined;
  isStockServer: boolean;
}

/**
 * The hash that applying is bound to. The plan that was shown could not know the digests of images still to be built,
 * so its hash is not that of the finished candidate: the finished one is planned first and the shown one once more
 * after it. When nothing differs until the finished plan is applied, nothing did at the moment of the second look.
 */
async function bindPlan(request: ReleaseRequest, binding: Binding): Promise<string | undefined> {
  const { before, candidate, planHash, isStockServer } = binding;
  if (planHash === undefined || before === undefined) {
    return undefined;
  }
  const finished = await planCandidate(request, candidate, isStockServer);
  if (finished.plan_hash === planHash) {
    return planHash;
  }
  const shown = await planCandidate(request, before, isStockServer);
  refuse(shown, planHash);
  if (!hasChanges(shown) && hasChanges(finished)) {
    throw buildPlanChanged(planHash, finished);
  }
  return finished.plan_hash;
}

async function applyToPlane(
  { client }: ReleaseRequest,
  candidate: ReleaseCandidate,
  planHash: string | undefined,
  images: ImageReport[],
): Promise<ReleaseResult> {
  const result = await client.releases.apply({ candidate, ...(planHash === undefined ? {} : { plan_hash: planHash }) });
  if (result.outcome === "refused") {
    throw new UserError(result.code, result.detail);
  }
  const { release: applied, deployments, changed } = result;
  return { release: applied, changes: changed ? applied.changes : [], deployments, changed, images };
}

async function applyToStock(
  { client, signal }: ReleaseRequest,
  candidate: ReleaseCandidate,
  planHash: string | undefined,
  images: ImageReport[],
): Promise<ReleaseResult> {
  const { plan, changes } = await planOnStockServer(client, candidate, signal);
  refuse(plan, planHash);
  const { deployments, failures } = await applyOnStockServer(client, candidate, changes, signal);
  if (failures.length > 0) {
    const list = failures.map(({ change, message }) => `  ${change.action} ${change.deployment}: ${message}`);
    throw new UserError(
      "RELEASE_INCOMPLETE",
      `${failures.length} of ${changes.length} deployments could not be brought into place:\n${list.join("\n")}`,
      { hint: "The others are in place; deploy again once these are corrected." },
    );
  }
  const effective = plan.changes.filter(({ action }) => action !== "unchanged");
  return { release: null, changes: effective, deployments, changed: effective.length > 0, images };
}
