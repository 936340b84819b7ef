import { childrenOf, isOperand, opaque, type Reader, type SyntaxNode } from "./parse-node.ts";
import { type StringPieces, splitStringLiteral, unescapeString } from "./string-literal.ts";
import type { Expression, FormatPart } from "./syntax.ts";

/** A string, bytes or f-string literal, or several written one after the other. */
export function parseString(node: SyntaxNode, reader: Reader): Expression {
  const literals = node.name === "ContinuedString" ? childrenOf(node) : [node];
  const parts: FormatPart[] = [];
  let isBytes = false;
  for (const literal of literals) {
    const pieces = splitStringLiteral(reader.textOf(literal));
    if (pieces === null) return opaque(node);
    const read =
      literal.name === "FormatString" ? parseFormat(literal, pieces, reader) : parsePlain(literal, pieces, reader);
    if (read === null) return opaque(node);
    parts.push(...read);
    isBytes ||= pieces.isBytes;
  }
  const at = node.from;
  if (literals.some((literal) => literal.name === "FormatString")) return { kind: "format", at, parts };
  const value = parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
  return { kind: isBytes ? "bytes" : "string", at, value };
}

function parsePlain(node: SyntaxNode, pieces: StringPieces, reader: Reader): FormatPart[] | null {
  const text = unescapeString(reader.textOf(node).slice(pieces.from, pieces.to), pieces);
  return text === null ? null : [{ kind: "text", text }];
}

function parseFormat(node: SyntaxNode, pieces: StringPieces, reader: Reader): FormatPart[] | null {
  return parseFormatParts(node, { from: node.from + pieces.from, to: node.from + pieces.to }, pieces, reader);
}

function parseFormatParts(
  node: SyntaxNode,
  range: { from: number; to: number },
  pieces: Pick<StringPieces, "isRaw" | "isBytes">,
  reader: Reader,
): FormatPart[] | null {
  const parts: FormatPart[] = [];
  let from = range.from;
  for (const child of [...childrenOf(node), null]) {
    if (child !== null && child.name !== "FormatReplacement") continue;
    const text = unescapeString(reader.text.slice(from, child?.from ?? range.to), pieces);
    if (text === null) return null;
    if (text !== "") parts.push({ kind: "text", text: text.replaceAll("{{", "{").replaceAll("}}", "}") });
    if (child === null) break;
    const replacement = parseReplacement(child, pieces, reader);
    if (replacement === null) return null;
    parts.push(replacement);
    from = child.to;
  }
  return parts;
}

function parseReplacement(
  node: SyntaxNode,
  pieces: Pick<StringPieces, "isRaw" | "isBytes">,
  reader: Reader,
): FormatPart | null {
  const children = childrenOf(node);
  const operand = children.find((child) => isOperand(child));
  if (operand === undefined) return null;
  const conversion = children.find((child) => child.name === "FormatConversion");
  const selfDoc = children.find((child) => child.name === "FormatSelfDoc");
  const spec = children.find((child) => child.name === "FormatSpec");
  const range = spec === undefined ? null : { from: spec.from + 1, to: spec.to };
  const format = spec === undefined || range === null ? [] : parseFormatParts(spec, range, pieces, reader);
  if (format === null) return null;
  return {
    kind: "value",
    value: reader.expression(operand),
    // `{x=}` shows the repr unless a format or conversion says otherwise.
    conversion: conversion ? reader.textOf(conversion).slice(1) : selfDoc && spec === undefined ? "r" : "",
    format,
    label: selfDoc ? reader.text.slice(node.from + 1, selfDoc.to) : "",
  };
}
