import { type Command, Option } from "commander";
import { z } from "zod";
import type { ReleaseScope, ReleaseSource } from "../../flowyard-api/releases.ts";
import type { CliContext } from "../context.ts";
import { parseName } from "../options.ts";

export const ScopeOptions = z.object({
  environment: z.string().min(1).optional(),
  repository: z.string().min(1).optional(),
  projectPath: z.string().min(1).optional(),
});
export type ScopeOptions = z.infer<typeof ScopeOptions>;

/** Whose releases: by default those of the checkout in this folder. */
export function addScopeOptions(command: Command): Command {
  return command
    .option("-e, --environment <name>", "environment of the release (default: production)", parseName)
    .option("--repository <owner/name>", "default: what git or GitHub Actions says", parseName)
    .option("--project-path <path>", "folder of the project file in that repository (default: this one)", parseName);
}

export const ReleaseOptions = ScopeOptions.extend({
  adopt: z.boolean().optional(),
  prune: z.enum(["keep", "pause", "delete"]).optional(),
  push: z.boolean().optional(),
  planHash: z.string().optional(),
  preview: z.boolean().optional(),
});
export type ReleaseOptions = z.infer<typeof ReleaseOptions>;

export function addReleaseOptions(command: Command): Command {
  return addScopeOptions(command)
    .option("--adopt", "take over deployments that somebody else made or owns")
    .addOption(
      new Option(
        "--prune <what>",
        "deployments that this environment owns and the project lacks (default: pause)",
      ).choices(["keep", "pause", "delete"]),
    )
    .option("--preview", "the environment is a preview, pr-<number>: names get it as suffix, nothing starts by itself")
    .option("--push", "push every image that is built, with or without a push step");
}

export async function findFacts(
  context: CliContext,
  wish: ScopeOptions,
): Promise<{ scope: ReleaseScope; source: ReleaseSource }> {
  const { findReleaseFacts } = await import("../../release/release-facts.ts");
  return findReleaseFacts(context.workingDirectory, context.sources.environment, wish);
}
