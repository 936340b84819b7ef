import type { Command } from "commander";
import { suggestNearest } from "../project/did-you-mean.ts";
import { UserError } from "../shared/errors.ts";

export interface GlobalOptions {
  profileName: string | undefined;
  /** `--prompt` or `--no-prompt`; undefined when neither was given. */
  prompt: boolean | undefined;
  rest: string[];
}

/**
 * Takes the options that every command has out of the arguments, wherever they stand: Prefect accepts them before and
 * after the command's name. Nothing after `--` is touched.
 */
export function extractGlobalOptions(argv: string[]): GlobalOptions {
  const found: GlobalOptions = { profileName: undefined, prompt: undefined, rest: [] };
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    if (word === "--") {
      found.rest.push(...argv.slice(index));
      break;
    }
    if (word === "--prompt" || word === "--no-prompt") {
      found.prompt = word === "--prompt";
    } else if (word === "--profile" || word.startsWith("--profile=")) {
      const value = word === "--profile" ? argv[++index] : word.slice("--profile=".length);
      if (value === undefined || value === "") {
        throw new UserError("USAGE", "--profile needs the name of a profile.");
      }
      found.profileName = value;
    } else {
      found.rest.push(word);
    }
  }
  return found;
}

function normalizeName(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, "");
}

/** `Work_Pool` and `work-pool` are one name: Prefect ignores `-`, `_` and case. */
export function findByName<T extends { name: string }>(entries: T[], word: string): T | undefined {
  return entries.find(({ name }) => normalizeName(name) === normalizeName(word));
}

/** Prefect's nouns have plural aliases, too. */
export function findNoun<T extends { name: string }>(entries: T[], word: string): T | undefined {
  return findByName(entries, word) ?? findByName(entries, word.replace(/s$/i, ""));
}

export function buildUnknownCommand(word: string, path: string, known: string[]): UserError {
  const suggestion = suggestNearest(word, known);
  return new UserError("USAGE", `\`${path}\` has no command "${word}".${suggestion}`, {
    hint: `Commands: ${known.join(", ")}. See \`${path} --help\`.`,
  });
}

/** Spells the command names in `words` as the program declares them. Throws UserError USAGE for an unknown one. */
export function resolveCommandNames(program: Command, words: string[]): string[] {
  const resolved = [...words];
  let command = program;
  let path = program.name();
  for (let index = 0; index < resolved.length && command.commands.length > 0; index += 1) {
    const word = resolved[index] ?? "";
    if (word.startsWith("-")) {
      break;
    }
    const known = command.commands.map((subcommand) => ({ name: subcommand.name(), subcommand }));
    const match = index === 0 ? findNoun(known, word) : findByName(known, word);
    if (match === undefined) {
      const names = known.map(({ name }) => name);
      throw buildUnknownCommand(word, path, names);
    }
    resolved[index] = match.name;
    command = match.subcommand;
    path += ` ${match.name}`;
  }
  return resolved;
}
