import type { GitHub } from "./github.ts";

/** Undefined when it cannot be told. */
export function isPullRequestClosed(github: GitHub, number: number): Promise<boolean | undefined> {
  return github.attempt(
    "The look for previews of closed pull requests",
    async ({ rest, owner, repo }, signal) => {
      const { data } = await rest.pulls.get({ owner, repo, pull_number: number, request: { signal } });
      return data.state === "closed";
    },
    "`pull-requests: read`",
  );
}
