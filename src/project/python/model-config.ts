import { knownBasesOf } from "./class-kind.ts";
import type { Interpreter } from "./interpreter.ts";
import { toJson } from "./json-value.ts";
import { settingsOfModel } from "./model-settings.ts";
import type { Schema } from "./schema.ts";
import type { ClassValue, Value } from "./value.ts";

/** What of a model's configuration shows in its schema. */
export interface ModelConfig {
  title: string | null;
  additionalProperties: boolean | null;
  extra: Schema;
}

/** Settings that leave no trace in the schema or only one that we follow. */
const HARMLESS: ReadonlySet<string> = new Set(
  `title extra json_schema_extra alias_generator frozen populate_by_name validate_by_name validate_by_alias use_enum_values validate_assignment
arbitrary_types_allowed from_attributes str_strip_whitespace str_to_lower str_to_upper validate_default validate_return protected_namespaces
strict allow_inf_nan revalidate_instances ser_json_timedelta ser_json_bytes ser_json_inf_nan hide_input_in_errors defer_build cache_strings
regex_engine coerce_numbers_to_str loc_by_alias serialize_by_alias ignored_types plugin_settings env_prefix env_file env_file_encoding
env_nested_delimiter case_sensitive env_ignore_empty secrets_dir env_parse_none_str nested_model_default_partial_update
toml_file json_file yaml_file`.split(/\s+/),
);

/** Reads `model_config`, an inner `Config` and class keywords; the reason as text if they do more than we follow. */
export function readModelConfig(type: ClassValue, interpreter: Interpreter): ModelConfig | string {
  const settings = settingsOfModel(type);
  for (const [name, value] of settings) {
    if (!HARMLESS.has(name) && name !== "metaclass") return `the setting ${name} of ${type.name} is not followed`;
    if (value.kind === "unknown") return `the setting ${name} of ${type.name} is not known`;
  }
  const extra = settings.get("json_schema_extra");
  const json = extra === undefined || extra.kind === "none" ? null : toJson(extra, interpreter);
  if (json !== null && (json.kind !== "json" || !isObject(json.json)))
    return `json_schema_extra of ${type.name} is not known`;
  const title = settings.get("title");
  return {
    title: title?.kind === "str" ? title.value : null,
    additionalProperties: extraProperties(settings.get("extra"), type),
    extra: json?.kind === "json" && isObject(json.json) ? json.json : {},
  };
}

function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function extraProperties(extra: Value | undefined, type: ClassValue): boolean | null {
  if (extra?.kind === "str") return extra.value === "forbid" ? false : extra.value === "allow" ? true : null;
  return extra === undefined && knownBasesOf(type).includes("pydantic_settings.BaseSettings") ? false : null;
}
