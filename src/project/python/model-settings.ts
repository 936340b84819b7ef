import { ancestorsOf, kindOfClass } from "./class-kind.ts";
import { type ClassValue, truthOf, type Value } from "./value.ts";

/** A model's `model_config`, inner `Config` and class keywords, an ancestor's first. */
export function settingsOfModel(type: ClassValue): Map<string, Value> {
  const settings = new Map<string, Value>();
  for (const one of ancestorsOf(type).toReversed()) {
    for (const [name, value] of ownSettings(one)) settings.set(name, value);
  }
  return settings;
}

function ownSettings(type: ClassValue): [string, Value][] {
  const config = type.attributes.get("model_config");
  const inner = type.attributes.get("Config");
  const settings: [string, Value][] = [...type.keywords];
  if (config?.kind === "object") settings.push(...config.args.named);
  else if (config?.kind === "dict")
    for (const { key, value } of config.entries) settings.push([key.kind === "str" ? key.value : "a key", value]);
  else if (config !== undefined) settings.push(["model_config", config]);
  if (inner?.kind === "class") settings.push(...[...inner.attributes].filter(([name]) => !name.startsWith("__")));
  return settings;
}

const ALIAS_GENERATORS: Readonly<Record<string, (name: string) => string>> = {
  "pydantic.alias_generators.to_camel": (name) => lowerFirst(pascal(name)),
  "pydantic.alias_generators.to_pascal": pascal,
};

function pascal(name: string): string {
  return name.replace(/(?:^|_+)([\p{L}\p{N}])/gu, (_, first: string) => first.toUpperCase());
}

function lowerFirst(name: string): string {
  return name.slice(0, 1).toLowerCase() + name.slice(1);
}

/** How a model renames its fields; null if it does so in a way that is not followed. */
export function aliasGeneratorOf(type: ClassValue): ((name: string) => string) | null {
  const value = kindOfClass(type) === "model" ? settingsOfModel(type).get("alias_generator") : undefined;
  if (value === undefined || truthOf(value) === false) return (name) => name;
  return value.kind === "known" ? (ALIAS_GENERATORS[value.name] ?? null) : null;
}
