import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasChanges } from "./describe-plan.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";

/** A later step that takes the output by `env:` can have 128 KiB of it, on Linux. */
const MAX_OUTPUT_BYTES = 100_000;

/** The outputs that plan, deploy and drift share. */
export async function savePlanOutputs({ outputs, config }: Step, { projects }: Story): Promise<void> {
  const plans = projects.flatMap(({ plan }) => (plan === undefined ? [] : [plan]));
  outputs.changed = String(plans.some(hasChanges));
  outputs["plan-hash"] = plans.map((plan) => plan.plan_hash).join(",");
  const releases = projects.flatMap(({ release }) => (release === undefined ? [] : [release.id]));
  if (releases.length > 0) {
    outputs["release-id"] = releases.join(",");
  }
  outputs.deployments = JSON.stringify(Object.assign({}, ...projects.map(({ deployments }) => deployments)));
  const images = projects.flatMap((project) => project.images.flatMap(({ digests }) => Object.entries(digests)));
  outputs.images = JSON.stringify(Object.fromEntries(images));
  const text = JSON.stringify(plans);
  if (Buffer.byteLength(text) <= MAX_OUTPUT_BYTES) {
    outputs.plan = text;
    return;
  }
  const file = join(config.RUNNER_TEMP ?? tmpdir(), `flowyard-plan-${process.pid}.json`);
  await writeFile(file, text);
  outputs.plan = file;
}
