import type { Automation } from "../prefect-api/automations.ts";
import type { JsonObject } from "../prefect-api/primitives.ts";
import { canonicalJson } from "./canonical-json.ts";
import type { ReleaseTrigger } from "./releases.ts";

/** An automation that a deployment owns. In actions a `deployment_id` of null stands for that deployment. */
export interface TriggerState {
  /** Of the live automation that this one is; null for a new one. */
  id: string | null;
  name: string;
  description: string;
  enabled: boolean;
  tags: string[];
  trigger: JsonObject;
  actions: JsonObject[];
  actions_on_trigger: JsonObject[];
  actions_on_resolve: JsonObject[];
}

interface Context {
  /** Of the deployment; null while there is none. */
  id: string | null;
  live: readonly TriggerState[];
  base: readonly ReleaseTrigger[];
  keepsPauses: boolean;
}

export function readTriggers(automations: readonly Automation[], deploymentId: string): TriggerState[] {
  return automations.map((automation) => ({
    ...readCommon(automation, deploymentId),
    id: automation.id,
    enabled: automation.enabled,
  }));
}

export function decideTriggers(
  wanted: readonly ReleaseTrigger[],
  { id, live, base, keepsPauses }: Context,
): TriggerState[] {
  const pairs = pairTriggers(wanted, live, id);
  const wasDisabled = new Set(
    [...pairTriggers(base, live, id)].flatMap(([before, found]) => (before.enabled === false ? [found] : [])),
  );
  return wanted.map((trigger) => {
    const found = pairs.get(trigger);
    return {
      ...readCommon(trigger, id),
      id: found?.id ?? null,
      enabled: trigger.enabled ?? (found === undefined || !keepsPauses || found.enabled || wasDisabled.has(found)),
    };
  });
}

/** By name. Of several with one name those that say the same belong together: servers list them in any order. */
function pairTriggers(
  wanted: readonly ReleaseTrigger[],
  live: readonly TriggerState[],
  deploymentId: string | null,
): Map<ReleaseTrigger, TriggerState> {
  type Sign = (trigger: ReleaseTrigger) => string | undefined;
  const signs: Sign[] = [
    ({ enabled, ...rest }) =>
      enabled === undefined ? undefined : canonicalJson([readCommon(rest, deploymentId), enabled]),
    (trigger) => canonicalJson(readCommon(trigger, deploymentId)),
    ({ name }) => name,
  ];
  const found = new Map<ReleaseTrigger, TriggerState>();
  const free = new Set(live);
  for (const sign of signs) {
    for (const trigger of wanted) {
      const mark = found.has(trigger) ? undefined : sign(trigger);
      const match = mark === undefined ? undefined : [...free].find((each) => sign(each) === mark);
      if (match !== undefined) {
        found.set(trigger, match);
        free.delete(match);
      }
    }
  }
  return found;
}

function readCommon(said: Omit<ReleaseTrigger, "enabled">, deploymentId: string | null) {
  const read = (actions: readonly JsonObject[]) => actions.map((action) => mapOwnId(action, deploymentId, null));
  return {
    name: said.name,
    description: said.description,
    tags: said.tags,
    trigger: said.trigger,
    actions: read(said.actions),
    actions_on_trigger: read(said.actions_on_trigger),
    actions_on_resolve: read(said.actions_on_resolve),
  };
}

/** The actions with the deployment's id in the places that were left for it. */
export function fillOwnId(actions: readonly JsonObject[], deploymentId: string): JsonObject[] {
  return actions.map((action) => mapOwnId(action, null, deploymentId));
}

function mapOwnId(action: JsonObject, from: string | null, to: string | null): JsonObject {
  const { type, source, deployment_id: id } = action;
  const isSelected = String(type).endsWith("-deployment") && (source === undefined || source === "selected");
  return isSelected && (id === undefined || id === null || id === from) ? { ...action, deployment_id: to } : action;
}
