/**
 * The images that a Dockerfile builds on or copies from, without `scratch` and its own stages. `ARG`s before the first
 * `FROM` are filled in, with `buildArgs` over their defaults. Undefined when one of the names stays unknown, so that
 * nobody takes half a list for the whole.
 */
export function listBaseImages(
  dockerfileText: string,
  buildArgs: Readonly<Record<string, string>> = {},
): string[] | undefined {
  const args = new Map<string, string>();
  const stages = new Set(["scratch"]);
  const images = new Set<string>();
  let isComplete = true;
  const add = (name: string) => {
    const image = fillArguments(name, args);
    isComplete &&= image !== undefined;
    if (image !== undefined && !stages.has(image.toLowerCase()) && !/^\d+$/.test(image)) {
      images.add(image);
    }
  };
  for (const line of joinLines(dockerfileText)) {
    const from = /^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?/i.exec(line);
    const argument = /^ARG\s+(\w+)(?:=(\S*))?/i.exec(line);
    if (argument !== null && images.size === 0 && stages.size === 1) {
      const [, name = "", fallback] = argument;
      const value = buildArgs[name] ?? fallback?.replace(/^(["'])(.*)\1$/, "$2");
      const filled = value === undefined ? undefined : fillArguments(value, args);
      if (filled !== undefined) {
        args.set(name, filled);
      }
    } else if (from !== null) {
      add(from[1] ?? "");
      stages.add((from[2] ?? `stage ${stages.size}`).toLowerCase());
    } else if (/^(?:COPY|ADD|RUN)\s/i.test(line)) {
      for (const match of line.matchAll(/\s--(?:from=|mount=\S*?\bfrom=)([^\s,]+)/gi)) {
        add(match[1] ?? "");
      }
    }
  }
  return isComplete ? [...images] : undefined;
}

/** Instructions, each on one line, without comments and without the bodies of here-documents. */
function joinLines(text: string): string[] {
  const lines: string[] = [];
  let terminator: string | undefined;
  for (const line of text
    .replace(/\r\n/g, "\n")
    .replace(/\\[ \t]*\n/g, " ")
    .split("\n")) {
    if (terminator !== undefined) {
      terminator = line.trim() === terminator ? undefined : terminator;
    } else if (!/^\s*#/.test(line)) {
      lines.push(line.trim());
      terminator = /^\s*(?:RUN|COPY|ADD)\s.*<<-?["']?(\w+)["']?/i.exec(line)?.[1];
    }
  }
  return lines;
}

/** `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+value}`; undefined when a name has no value. */
function fillArguments(text: string, args: ReadonlyMap<string, string>): string | undefined {
  let isComplete = true;
  const filled = text.replace(
    /\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})/g,
    (_, bare: string | undefined, braced: string | undefined, sign: string | undefined, word: string | undefined) => {
      const value = args.get(bare ?? braced ?? "");
      if (sign === "+") {
        return value ? (word ?? "") : "";
      }
      const chosen = value || (sign === "-" ? word : value);
      isComplete &&= chosen !== undefined;
      return chosen ?? "";
    },
  );
  return isComplete ? filled : undefined;
}
