import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type FlowyardOptions, runFlowyard } from "./flowyard-process.ts";
import type { DemoPlan } from "./plan.ts";

const Template = z.looseObject({
  variables: z.looseObject({ properties: z.looseObject({ network_mode: z.looseObject({}).optional() }) }),
});

/**
 * On Linux a container reaches a plane on loopback only through the host's network, so the pool makes that its default.
 * Docker Desktop forwards `host.docker.internal` to loopback by itself.
 */
export async function createPool(plan: DemoPlan, folder: string, options: FlowyardOptions): Promise<number> {
  const create = ["work-pool", "create", "--type", plan.poolType, plan.poolName];
  if (plan.poolType === "process" || process.platform !== "linux") {
    return runFlowyard(create, options);
  }
  const file = join(folder, "base-job-template.json");
  const code = await runFlowyard(
    ["work-pool", "get-default-base-job-template", "--type", plan.poolType, "--file", file],
    options,
  );
  if (code !== 0) {
    return code;
  }
  const template = Template.parse(JSON.parse(await readFile(file, "utf8")));
  const networkMode = template.variables.properties.network_mode;
  template.variables.properties.network_mode = { ...networkMode, default: "host" };
  await writeFile(file, JSON.stringify(template));
  process.stdout.write(
    "(with network_mode: host as the pool's default, so that containers reach a plane on loopback)\n",
  );
  return runFlowyard([...create, "--base-job-template", file], options);
}
