import type { z } from "zod";
import { CatchUp } from "../flowyard-api/catch-up.ts";
import {
  type Prune,
  ReleaseCandidate,
  type ReleaseDeployment,
  type ReleaseImage,
  type ReleaseSchedule,
  type ReleaseScope,
  type ReleaseSource,
} from "../flowyard-api/releases.ts";
import { isMapping } from "../prefect-api/templating.ts";
import type { Schedule } from "../project/schedules.ts";
import { buildAutomation } from "../project/triggers.ts";
import { UserError } from "../shared/errors.ts";
import type { ReadyDeployment } from "./build-bodies.ts";

/** Who releases what from where: all of a candidate that the project's folder does not say. */
export interface ReleaseFacts {
  scope: ReleaseScope;
  source: ReleaseSource;
  prune: Prune;
  adopt: boolean;
  /** Names get the environment as suffix, and nothing starts by itself. */
  isPreview: boolean;
}

/**
 * The complete desired state, from deployments that are ready to be registered. What the file does not say (a pause, the
 * schedules, whether one of them is active) is left out, so that what an operator has set stays.
 * Throws UserError DEPLOYMENT_INVALID for what no server would take.
 */
export function buildCandidate(
  ready: readonly ReadyDeployment[],
  images: readonly ReleaseImage[],
  { scope, source, prune, adopt, isPreview }: ReleaseFacts,
): ReleaseCandidate {
  const entries = ready.map(buildReleaseDeployment);
  const parsed = ReleaseCandidate.safeParse({
    scope,
    source,
    images: sortImages(images),
    deployments: isPreview ? entries.map((entry) => makePreview(entry, scope.environment)) : entries,
    prune,
    adopt,
  });
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => {
      const [section, index] = path;
      const each = section === "deployments" && typeof index === "number" ? ready[index] : undefined;
      const whose =
        each === undefined ? path.join(".") : `deployment ${each.prepared.label}: ${path.slice(2).join(".")}`;
      return `${whose}: ${message}.`;
    });
    throw new UserError("DEPLOYMENT_INVALID", `These deployments cannot be released:\n${problems.join("\n")}`);
  }
  return parsed.data;
}

/** One entry for each image, in an order that does not depend on which build ended first. */
function sortImages(images: readonly ReleaseImage[]): ReleaseImage[] {
  const byText = new Map(images.map((image) => [JSON.stringify(image), image]));
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, image]) => image);
}

type Entry = z.input<typeof ReleaseDeployment>;

/** `etl` becomes `etl-pr-7`; neither schedules nor triggers start it, whatever the file says. */
function makePreview({ deployment, triggers = [], replaces, ...rest }: Entry, environment: string): Entry {
  const { schedules } = deployment;
  return {
    ...rest,
    deployment: {
      ...deployment,
      name: `${deployment.name}-${environment}`,
      ...(schedules === undefined ? {} : { schedules: schedules.map((each) => ({ ...each, active: false })) }),
    },
    triggers: triggers.map((trigger) => ({ ...trigger, enabled: false })),
    // A preview renames its own deployment, never the one that it is a preview of.
    ...(replaces ? { replaces: `${replaces}-${environment}` } : {}),
  };
}

function buildReleaseDeployment(ready: ReadyDeployment): Entry {
  const { create, prepared, triggers, triggerSpecs, paused, schedules } = ready;
  const { paused: _paused, schedules: _schedules, description, ...rest } = create;
  const { replaces, catch_up: catchUp } = prepared.values;
  return {
    flow_name: prepared.flow.name,
    deployment: {
      ...rest,
      // Only when Prefect creates a deployment does it write the word None for want of a description.
      description: ready.update.description ?? null,
      ...(paused === undefined ? {} : { paused }),
      ...(schedules === undefined ? {} : { schedules: schedules.map(buildReleaseSchedule) }),
    },
    triggers: triggers.map((trigger, index) => {
      const { owner_resource: _owner, enabled, ...automation } = buildAutomation(trigger, "");
      const spec = triggerSpecs[index];
      const actions = automation.actions.map((action) => ({ ...action, deployment_id: null }));
      const saysEnabled = isMapping(spec) && "enabled" in spec;
      return { ...automation, actions, ...(saysEnabled ? { enabled } : {}) };
    }),
    ...(catchUp === undefined || catchUp === null ? {} : { catch_up: CatchUp.parse(catchUp) }),
    ...(typeof replaces === "string" && replaces !== "" ? { replaces } : {}),
  };
}

function buildReleaseSchedule(given: Schedule): z.input<typeof ReleaseSchedule> {
  const { schedule, active, parameters, slug } = given;
  return {
    schedule,
    ...(active === undefined ? {} : { active }),
    ...(parameters === undefined ? {} : { parameters }),
    ...(slug === undefined ? {} : { slug }),
  };
}
