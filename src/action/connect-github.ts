import { FLOWYARD_VERSION } from "../client/version.ts";
import { createGitHub, type GitHub } from "../github/github.ts";
import type { ActionConfig } from "./config.ts";
import type { Inputs } from "./inputs.ts";
import type { Runner } from "./runner.ts";

/** GitHub as the token of the inputs sees it, made when it is first asked for. What is refused is a warning. */
export function createGitHubFinder(
  config: ActionConfig,
  inputs: Inputs,
  runner: Runner,
): () => Promise<GitHub | undefined> {
  let github: Promise<GitHub> | undefined;
  return async () => {
    const token = inputs["github-token"] ?? config.GITHUB_TOKEN;
    if (token === undefined) {
      return undefined;
    }
    github ??= createGitHub({
      apiUrl: config.GITHUB_API_URL,
      token,
      repository: config.GITHUB_REPOSITORY,
      userAgent: `flowyard/${FLOWYARD_VERSION}`,
      onProblem: (message) => runner.warning(message),
    });
    return github;
  };
}
