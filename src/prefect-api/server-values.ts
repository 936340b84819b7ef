import { UserError } from "../shared/errors.ts";
import {
  type BlockReference,
  fillTemplate,
  findByPath,
  isMapping,
  listPlaceholders,
  type Placeholder,
  parseBlockReference,
  parseVariableReference,
} from "./templating.ts";

/** Where blocks and variables come from. `undefined` means that the server has no such thing. */
export interface ValueSource {
  findVariable(name: string): Promise<{ value: unknown } | undefined>;
  /** The document's data, secrets included: never log it. */
  findBlockData(typeSlug: string, name: string): Promise<Record<string, unknown> | undefined>;
}

/**
 * Fills blocks, then variables. A variable that does not exist is an empty text; a block that does not exist is an error.
 * Throws UserError TEMPLATE_UNRESOLVED.
 */
export async function fillServerValues(template: unknown, source: ValueSource): Promise<unknown> {
  const blocks = await readBlocks(template, source);
  const withBlocks = fillTemplate(template, (placeholder) =>
    placeholder.kind === "block" ? (blocks.get(placeholder.name) ?? "keep") : "keep",
  );
  refuseBlocksInText(template, blocks);
  const variables = await readVariables(withBlocks, source);
  return fillTemplate(withBlocks, (placeholder) =>
    placeholder.kind === "variable" ? (variables.get(placeholder.name) ?? { value: "" }) : "keep",
  );
}

async function readBlocks(template: unknown, source: ValueSource): Promise<Map<string, { value: unknown }>> {
  const values = new Map<string, { value: unknown }>();
  const documents = new Map<string, Record<string, unknown>>();
  for (const placeholder of listPlaceholders(template)) {
    if (placeholder.kind !== "block" || values.has(placeholder.name)) {
      continue;
    }
    const reference = parseBlockReference(placeholder.name);
    if (reference === undefined) {
      throw new UserError("TEMPLATE_UNRESOLVED", `Invalid block placeholder: ${placeholder.text}.`, {
        hint: "Write prefect.blocks.<block-type-slug>.<block-document-name>.",
      });
    }
    const key = `${reference.typeSlug}/${reference.name}`;
    const data = documents.get(key) ?? (await source.findBlockData(reference.typeSlug, reference.name));
    if (data === undefined) {
      throw new UserError(
        "TEMPLATE_UNRESOLVED",
        `Block not found: ${JSON.stringify(reference.name)} of type ${JSON.stringify(reference.typeSlug)}, named by ${placeholder.text}.`,
        { hint: "Create the block on the server, or correct the name." },
      );
    }
    documents.set(key, data);
    values.set(placeholder.name, { value: readAttribute(placeholder, reference, data) });
  }
  return values;
}

/** A block of one `value` stands for that value; a path that starts with `value` reaches it as well. */
function readAttribute(placeholder: Placeholder, reference: BlockReference, data: Record<string, unknown>): unknown {
  const single = Object.keys(data).length === 1 && "value" in data;
  const explicit = /^value(?:$|[.[])/.test(reference.attribute);
  const base = single && !explicit ? data["value"] : data;
  if (reference.attribute === "") {
    return base;
  }
  const value = findByPath(base, reference.attribute);
  if (value === undefined) {
    throw new UserError(
      "TEMPLATE_UNRESOLVED",
      `Invalid template: ${placeholder.text}. Could not resolve the keypath ${JSON.stringify(reference.attribute)} in the block's data.`,
      {
        hint: isMapping(base)
          ? `The block has the keys ${Object.keys(base).join(", ")}.`
          : "The block is a single value.",
      },
    );
  }
  return value;
}

/** A mapping or list in the middle of text has no one way to be written. */
function refuseBlocksInText(template: unknown, blocks: ReadonlyMap<string, { value: unknown }>): void {
  for (const text of listTexts(template)) {
    for (const placeholder of listPlaceholders(text)) {
      const value = blocks.get(placeholder.name)?.value;
      if (placeholder.text !== text && typeof value === "object" && value !== null) {
        throw new UserError(
          "TEMPLATE_UNRESOLVED",
          `Invalid template: ${JSON.stringify(text)}. The block placeholder ${placeholder.text} stands for a ${Array.isArray(value) ? "list" : "mapping"}, which cannot be put into text.`,
          { hint: "Name one of its attributes, such as .value or .url." },
        );
      }
    }
  }
}

function listTexts(value: unknown): string[] {
  if (typeof value === "string") {
    return [value];
  }
  if (Array.isArray(value)) {
    return value.flatMap(listTexts);
  }
  return isMapping(value) ? Object.values(value).flatMap(listTexts) : [];
}

async function readVariables(template: unknown, source: ValueSource): Promise<Map<string, { value: unknown }>> {
  const values = new Map<string, { value: unknown }>();
  for (const { kind, name } of listPlaceholders(template)) {
    if (kind === "variable" && !values.has(name)) {
      const variable = await source.findVariable(parseVariableReference(name) ?? "");
      values.set(name, { value: variable === undefined ? "" : variable.value });
    }
  }
  return values;
}
