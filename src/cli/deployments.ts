import type { PrefectClient } from "../client/prefect-client.ts";
import type { Deployment } from "../prefect-api/deployments.ts";
import { isUuid } from "../prefect-api/primitives.ts";
import { UserError } from "../shared/errors.ts";
import { buildUnknownName } from "./names.ts";

export interface NamedDeployment {
  deployment: Deployment;
  flowName: string;
  /** `flow/deployment` */
  fullName: string;
}

function withName(deployment: Deployment, flowName: string): NamedDeployment {
  return { deployment, flowName, fullName: `${flowName}/${deployment.name}` };
}

/** Deployments with the names of their flows, by full name. */
export async function listNamedDeployments(
  client: PrefectClient,
  flowNames: string[] = [],
): Promise<NamedDeployment[]> {
  const body = flowNames.length === 0 ? {} : { flows: { name: { any_: flowNames } } };
  const deployments = await client.deployments.list(body);
  const names = await findFlowNames(
    client,
    deployments.map(({ flow_id }) => flow_id),
  );
  return deployments
    .map((deployment) => withName(deployment, names.get(deployment.flow_id) ?? deployment.flow_id))
    .toSorted((a, b) => a.fullName.localeCompare(b.fullName));
}

const MAX_IDS_PER_FILTER = 200;

export async function findFlowNames(client: PrefectClient, flowIds: string[]): Promise<Map<string, string>> {
  const ids = [...new Set(flowIds)];
  const names = new Map<string, string>();
  for (let at = 0; at < ids.length; at += MAX_IDS_PER_FILTER) {
    const any_ = ids.slice(at, at + MAX_IDS_PER_FILTER);
    for (const flow of await client.flows.list({ flows: { id: { any_ } } })) {
      names.set(flow.id, flow.name);
    }
  }
  return names;
}

const normalize = (name: string) => name.toLowerCase().replaceAll("_", "-");

/**
 * By `flow/deployment` or id. The flow may be spelled as its function, `get_repo_info` for the flow `get-repo-info`.
 * Throws UserError NOT_FOUND with the nearest name.
 */
export async function getDeployment(client: PrefectClient, nameOrId: string): Promise<NamedDeployment> {
  if (isUuid(nameOrId)) {
    const deployment = await client.deployments.find(nameOrId);
    if (deployment === undefined) {
      throw new UserError("NOT_FOUND", `There is no deployment with id ${nameOrId}.`);
    }
    return withName(deployment, (await client.flows.get(deployment.flow_id)).name);
  }
  const slash = nameOrId.indexOf("/");
  const flowName = nameOrId.slice(0, Math.max(slash, 0));
  const name = nameOrId.slice(slash + 1);
  if (slash > 0) {
    for (const candidate of new Set([flowName, flowName.replaceAll("_", "-")])) {
      const deployment = await client.deployments.findByName(candidate, name);
      if (deployment !== undefined) {
        return withName(deployment, candidate);
      }
    }
  }
  const all = await listNamedDeployments(client);
  const alike = all.filter(({ fullName }) => normalize(fullName) === normalize(nameOrId));
  const [only] = alike;
  if (only !== undefined && alike.length === 1) {
    return only;
  }
  throw buildUnknownDeployment(nameOrId, slash < 1, all);
}

function buildUnknownDeployment(given: string, isHalfName: boolean, all: NamedDeployment[]): UserError {
  const known = all.map(({ fullName }) => fullName);
  const sameName = all.filter(({ deployment, flowName }) => deployment.name === given || flowName === given);
  if (isHalfName && sameName.length > 0) {
    return new UserError("NOT_FOUND", `"${given}" is not the full name of a deployment, <flow>/<deployment>.`, {
      hint: `Write it as ${sameName.map(({ fullName }) => `"${fullName}"`).join(" or ")}.`,
    });
  }
  return buildUnknownName("deployment", given, known, "Make one with `flowyard deploy`.");
}
