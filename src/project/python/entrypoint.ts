import { posix } from "node:path";
import { UserError } from "../../shared/errors.ts";

/** Where a flow is: a script by its path or a module by its name, and the way to the flow in it. */
export type Entrypoint =
  | { kind: "script"; text: string; file: string; path: string[] }
  | { kind: "module"; text: string; module: string; path: string[] };

const FORMS = "Write path/to/file.py:function, path/to/file.py:Class.method or package.module.function.";

/** Splits an entrypoint as Prefect does: at the last colon, or else at the last dot. */
export function parseEntrypoint(text: string): Entrypoint {
  const colon = text.lastIndexOf(":");
  const cut = colon >= 0 ? colon : text.lastIndexOf(".");
  if (cut <= 0) throw invalid(`The entrypoint "${text}" names no function.`, FORMS);
  const [where, object] = [text.slice(0, cut), text.slice(cut + 1)];
  if (colon < 0 && object === "py") {
    throw invalid(`The entrypoint "${text}" names a file but no function in it.`, `Write ${text}:function_name.`);
  }
  if (object === "") throw invalid(`The entrypoint "${text}" names no function after the colon.`, FORMS);
  const path = object.split(".");
  if (colon >= 0 && where.endsWith(".py")) return { kind: "script", text, file: posix.normalize(where), path };
  if (/[/\\]/.test(where)) {
    throw invalid(
      `The entrypoint "${text}" names no Python file: "${where}" does not end in .py.`,
      `Write ${where}.py:${object}.`,
    );
  }
  return { kind: "module", text, module: where, path };
}

function invalid(message: string, hint: string): UserError {
  return new UserError("ENTRYPOINT_INVALID", message, { hint });
}
