import type { GitHub } from "./github.ts";

/** GitHub lists no more than this in a comparison. */
const MAX_FILES = 300;

/** Paths that differ between two commits, old names of renamed files included; undefined when that cannot be told. */
export function findChangedFiles(github: GitHub, base: string, head: string): Promise<string[] | undefined> {
  return github.attempt("The comparison with the live commit", async ({ rest, owner, repo }, signal) => {
    const { data } = await rest.repos.compareCommitsWithBasehead({
      owner,
      repo,
      basehead: `${base}...${head}`,
      per_page: 1,
      request: { signal },
    });
    const { files = [], status } = data;
    // On other branches the comparison starts at their common ancestor and leaves out what is live.
    if (files.length >= MAX_FILES || (status !== "ahead" && status !== "identical")) {
      return undefined;
    }
    return files.flatMap(({ filename, previous_filename }) => [
      filename,
      ...(previous_filename ? [previous_filename] : []),
    ]);
  });
}
