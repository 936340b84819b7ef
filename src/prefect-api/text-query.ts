interface TextQuery {
  /** One of these is enough. */
  included: string[];
  excluded: string[];
  required: string[];
}

/** Sign, phrase, word. */
const TERM = /([-!+])?(?:"((?:\\.|[^"\\])*)"?|([^\s"]+))/g;

/** Prefect's search language: words, "phrases", `-` or `!` to exclude, `+` to require. */
export function parseTextQuery(query: string): TextQuery {
  const parsed: TextQuery = { included: [], excluded: [], required: [] };
  for (const [, sign, phrase, word] of query.matchAll(TERM)) {
    const term = phrase?.replace(/\\(["\\])/g, "$1") ?? word ?? "";
    if (term.trim() !== "" && !/^[-!+]$/.test(term)) {
      listFor(parsed, sign).push(term);
    }
  }
  return parsed;
}

function listFor(parsed: TextQuery, sign: string | undefined): string[] {
  if (sign === undefined) {
    return parsed.included;
  }
  return sign === "+" ? parsed.required : parsed.excluded;
}
