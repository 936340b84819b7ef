import { formatTemplate } from "./format.ts";
import { iterate } from "./iterate.ts";
import {
  bool,
  type CallArguments,
  int,
  isSequence,
  list,
  lookUp,
  NONE,
  putEntry,
  type SequenceValue,
  str,
  tuple,
  uniqueItems,
  unknown,
  type Value,
} from "./value.ts";
import { admit } from "./weight.ts";

/** A method of text, a container or an object. Containers change in place, as in Python. */
export function callMethod(self: Value, name: string, args: CallArguments): Value {
  if (args.isPartial) return unknown("its arguments are not known");
  const result =
    self.kind === "str"
      ? callTextMethod(self.value, name, args)
      : self.kind === "dict"
        ? callDictMethod(self, name, args)
        : isSequence(self)
          ? callSequenceMethod(self, name, args)
          : null;
  return result ?? unknown(`the result of .${name}() is not known`);
}

function callTextMethod(text: string, name: string, args: CallArguments): Value | null {
  const [first, second] = args.positional;
  const argument = first?.kind === "str" ? first.value : null;
  switch (name) {
    case "upper":
      return str(text.toUpperCase());
    case "lower":
    case "casefold":
      return str(text.toLowerCase());
    case "capitalize":
      return str(text.slice(0, 1).toUpperCase() + text.slice(1).toLowerCase());
    case "title":
      return str(titleCase(text));
    case "strip":
    case "lstrip":
    case "rstrip":
      return first === undefined || argument !== null ? str(strip(text, name, argument)) : null;
    case "replace":
      return argument !== null && second?.kind === "str" ? str(text.replaceAll(argument, second.value)) : null;
    case "split":
      if (second !== undefined || args.named.size > 0 || argument === "") return null;
      return list(
        (argument === null
          ? text
              .trim()
              .split(/\s+/)
              .filter((part) => part !== "")
          : text.split(argument)
        ).map(str),
      );
    case "splitlines":
      return list(
        text
          .replace(/\n$/, "")
          .split(/\r\n|\r|\n/)
          .map(str),
      );
    case "join":
      return joinTexts(text, first);
    case "format":
      return formatTemplate(text, args.positional, args.named);
    default:
      return argument === null ? null : callTextTest(text, name, argument);
  }
}

function callTextTest(text: string, name: string, argument: string): Value | null {
  switch (name) {
    case "startswith":
      return bool(text.startsWith(argument));
    case "endswith":
      return bool(text.endsWith(argument));
    case "removeprefix":
      return str(text.startsWith(argument) ? text.slice(argument.length) : text);
    case "removesuffix":
      return str(argument !== "" && text.endsWith(argument) ? text.slice(0, -argument.length) : text);
    case "find":
      return int(text.indexOf(argument));
    case "count":
      return argument === "" ? null : int(text.split(argument).length - 1);
    default:
      return null;
  }
}

/** `str.title()`: every run of letters starts with a capital. */
export function titleCase(text: string): string {
  return text.replace(/\p{L}+/gu, (word) => {
    const [first = "", ...rest] = word;
    return first.toUpperCase() + rest.join("").toLowerCase();
  });
}

function strip(text: string, name: string, characters: string | null): string {
  const isStripped = (character: string): boolean =>
    characters === null ? /\s/.test(character) : characters.includes(character);
  let [from, to] = [0, text.length];
  if (name !== "rstrip") while (from < to && isStripped(text.charAt(from))) from += 1;
  if (name !== "lstrip") while (to > from && isStripped(text.charAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function joinTexts(separator: string, items: Value | undefined): Value | null {
  const parts = items === undefined ? null : iterate(items);
  const texts = parts?.map((part) => (part.kind === "str" ? part.value : null));
  return texts === undefined || texts.includes(null) ? null : str(texts.join(separator));
}

function callDictMethod(self: Extract<Value, { kind: "dict" }>, name: string, args: CallArguments): Value | null {
  const [first, second] = args.positional;
  switch (name) {
    case "keys":
      return list(self.entries.map((entry) => entry.key));
    case "values":
      return list(self.entries.map((entry) => entry.value));
    case "items":
      return list(self.entries.map((entry) => tuple([entry.key, entry.value])));
    case "copy":
      return { kind: "dict", entries: self.entries.map((entry) => ({ ...entry })) };
    case "get":
    case "setdefault": {
      if (first === undefined) return null;
      const { found, isCertain } = lookUp(self.entries, first);
      if (found !== null || !isCertain) return found;
      if (name === "setdefault") putEntry(self.entries, first, admit(self, second ?? NONE));
      return second ?? NONE;
    }
    case "update":
      if (first?.kind === "dict")
        for (const entry of first.entries) putEntry(self.entries, entry.key, admit(self, entry.value));
      else if (first !== undefined) return null;
      for (const [key, value] of args.named) putEntry(self.entries, str(key), admit(self, value));
      return NONE;
    default:
      return null;
  }
}

function callSequenceMethod(self: SequenceValue, name: string, args: CallArguments): Value | null {
  const [first] = args.positional;
  switch (name) {
    case "copy":
      return self.kind === "list" ? list([...self.items]) : null;
    case "append":
      if (first !== undefined) self.items.push(admit(self, first));
      return NONE;
    case "add":
      if (first !== undefined) self.items = uniqueItems([...self.items, admit(self, first)]);
      return NONE;
    case "extend":
    case "update": {
      const items = first === undefined ? null : iterate(first);
      if (items === null) return null;
      for (const item of items) if (admit(self, item) !== item) return null;
      self.items = name === "update" ? uniqueItems([...self.items, ...items]) : [...self.items, ...items];
      return NONE;
    }
    default:
      return null;
  }
}
