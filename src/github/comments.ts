import type { GitHub } from "./github.ts";
import { findStatus } from "./github.ts";

/** GitHub answers 422 to longer bodies; it counts characters. */
export const MAX_COMMENT_CHARACTERS = 65_536;
const PAGE_SIZE = 100;
const MAX_PAGES = 30;

export interface StickyComment {
  /** Of the issue or pull request. */
  number: number;
  /** Comments with different keys do not replace each other. */
  key: string;
  /** Id of the GitHub run: what an older run says does not replace what a newer one said. */
  runId: string;
  body: string;
}

interface FoundComment {
  id: number;
  runId: number;
}

/** Written so that no key can end the HTML comment that hides it. */
function buildMarker(key: string): string {
  return `<!-- flowyard:${Buffer.from(key, "utf8").toString("base64url")} run:`;
}

/** Writes the one comment that the key has on the issue, in place when it exists. */
export async function saveStickyComment(github: GitHub, comment: StickyComment): Promise<void> {
  const save = async ({ rest, owner, repo }: GitHub, signal: AbortSignal) => {
    const marker = buildMarker(comment.key);
    const body = `${marker}${comment.runId} -->\n${comment.body}`;
    const existing = await findComment(github, comment.number, marker, signal);
    if (existing !== undefined && existing.runId > Number(comment.runId)) {
      return;
    }
    if (existing !== undefined) {
      const isUpdated = await rest.issues
        .updateComment({ owner, repo, comment_id: existing.id, body, request: { signal } })
        .then(() => true)
        .catch((error: unknown) => {
          // Deleted since it was listed.
          if (findStatus(error) === 404) {
            return false;
          }
          throw error;
        });
      if (isUpdated) {
        return;
      }
    }
    await rest.issues.createComment({ owner, repo, issue_number: comment.number, body, request: { signal } });
  };
  await github.attempt("The comment", save, "`pull-requests: write`");
}

/** Answers on an issue with a comment of its own. */
export async function addComment(github: GitHub, number: number, body: string): Promise<void> {
  await github.attempt("The answer on the issue", ({ rest, owner, repo }, signal) =>
    rest.issues.createComment({ owner, repo, issue_number: number, body, request: { signal } }),
  );
}

const TRUSTED_AUTHORS: ReadonlySet<string> = new Set(["OWNER", "MEMBER", "COLLABORATOR"]);

/** Anybody can write the marker into a comment; one of a stranger is not ours. */
async function findComment(
  { rest, owner, repo }: GitHub,
  number: number,
  marker: string,
  signal: AbortSignal,
): Promise<FoundComment | undefined> {
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const { data } = await rest.issues.listComments({
      owner,
      repo,
      issue_number: number,
      per_page: PAGE_SIZE,
      page,
      request: { signal },
    });
    const found = data.find(
      ({ body, user, author_association }) =>
        body?.startsWith(marker) === true && (user?.type === "Bot" || TRUSTED_AUTHORS.has(author_association ?? "")),
    );
    if (found !== undefined) {
      return { id: found.id, runId: Number.parseInt(found.body?.slice(marker.length) ?? "", 10) || 0 };
    }
    if (data.length < PAGE_SIZE) {
      return undefined;
    }
  }
  return undefined;
}
