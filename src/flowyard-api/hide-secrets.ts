import { isJsonObject } from "../prefect-api/exact-json.ts";

export const HIDDEN = "********";

const SECRET_WORDS = new Set([
  ..."auth authentication authorization bearer cookie credential credentials dsn key keys passphrase passwd".split(" "),
  ..."password passwords pat private pwd secret secrets signature token tokens".split(" "),
]);
/** Where words are not kept apart: `dbpassword`, `APIKEY`. */
const SECRET_PARTS = /passw(or)?d|secret|token|credential|apikey|accesskey|privatekey/;
/** All values below are an environment's, and any of those may be a secret whatever its name. */
const ENVIRONMENT = /^(env|environ|environment|environment_?variables|env_?vars?)$|_env$/i;

const SECRET_TEXTS: readonly [RegExp, string][] = [
  // scheme://user:password@host and scheme://token@host; bounded, so that no text takes long.
  [/\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/@]{1,1000}@/gi, `$1${HIDDEN}@`],
  [/\b(Bearer|Basic)\s+[\w.~+/-]+=*/g, `$1 ${HIDDEN}`],
  [
    /((?:passw(?:or)?d|secret|token|api[_-]?key|credentials?|signature)["']?\s*[=:]\s*["']?)[^\s"'&,;]+/gi,
    `$1${HIDDEN}`,
  ],
  [/(--?(?:password|secret|token|api-?key)\s+)\S+/gi, `$1${HIDDEN}`],
  // GitHub, Slack, AWS, Prefect Cloud, PEM: formats that say what they are.
  [/\b(gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abeoprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|pn[ubk]_\w{20,})/g, HIDDEN],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, HIDDEN],
];

/**
 * A value as it may be shown. Hidden is what stands under a name that sounds secret, every value of a map that is an
 * environment, and inside any text credentials in URLs, `token=…` and tokens whose format gives them away. Null,
 * booleans and empty texts under a secret name have nothing to hide. `path` are the keys that lead to the value.
 */
export function hideSecrets(value: unknown, path: readonly string[] = []): unknown {
  return path.some((key) => ENVIRONMENT.test(key)) || path.some(isSecretName) ? hideAll(value) : hideWithin(value);
}

export function isSecretName(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return words.some((word) => SECRET_WORDS.has(word)) || SECRET_PARTS.test(words.join(""));
}

function hideWithin(value: unknown): unknown {
  if (typeof value === "string") {
    return SECRET_TEXTS.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), value);
  }
  if (Array.isArray(value)) {
    return value.map(hideWithin);
  }
  if (isJsonObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, hideSecrets(each, [key])]));
  }
  return value;
}

function hideAll(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(hideAll);
  }
  if (isJsonObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, hideAll(each)]));
  }
  return value === null || value === undefined || typeof value === "boolean" || value === "" ? value : HIDDEN;
}
