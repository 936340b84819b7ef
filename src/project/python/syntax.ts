/**
 * The Python syntax tree as far as flow signatures need it. `at` is the offset of the node's first character.
 * What the grammar does not know, or we have no use for, is an `opaque` node: its value is unknown, never an error.
 */
export type Expression =
  | { kind: "name"; at: number; name: string }
  | { kind: "none" | "true" | "false" | "ellipsis"; at: number }
  | { kind: "int"; at: number; value: bigint }
  | { kind: "float"; at: number; value: number }
  | { kind: "complex"; at: number; imaginary: number }
  | { kind: "string"; at: number; value: string }
  | { kind: "bytes"; at: number; value: string }
  | { kind: "format"; at: number; parts: FormatPart[] }
  | { kind: "attribute"; at: number; object: Expression; name: string }
  | { kind: "subscript"; at: number; object: Expression; index: Expression }
  | { kind: "slice"; at: number; start: Expression | null; stop: Expression | null; step: Expression | null }
  | { kind: "call"; at: number; callee: Expression; args: Argument[] }
  | { kind: "unary"; at: number; operator: string; operand: Expression }
  | { kind: "binary"; at: number; operator: string; left: Expression; right: Expression }
  | { kind: "logical"; at: number; operator: "and" | "or"; left: Expression; right: Expression }
  | { kind: "compare"; at: number; first: Expression; rest: { operator: string; operand: Expression }[] }
  | { kind: "conditional"; at: number; test: Expression; then: Expression; otherwise: Expression }
  | { kind: "lambda"; at: number; parameters: Parameter[]; body: Expression }
  | { kind: "list" | "tuple" | "set"; at: number; items: Expression[] }
  | { kind: "dict"; at: number; entries: { key: Expression | null; value: Expression }[] }
  | {
      kind: "comprehension";
      at: number;
      of: ComprehensionKind;
      element: Expression;
      value: Expression | null;
      clauses: Clause[];
    }
  | { kind: "starred"; at: number; operand: Expression }
  | { kind: "walrus"; at: number; name: string; value: Expression }
  | { kind: "opaque"; at: number; what: string };

export type ComprehensionKind = "list" | "set" | "dict" | "generator";

export type Clause = { kind: "for"; target: Expression; iterable: Expression } | { kind: "if"; test: Expression };

export type FormatPart =
  | { kind: "text"; text: string }
  | { kind: "value"; value: Expression; conversion: string; format: FormatPart[]; label: string };

/** `name: null` is positional; `star` marks `*value` and `**value`. */
export interface Argument {
  name: string | null;
  star: "" | "*" | "**";
  value: Expression;
}

export type ParameterKind = "positional" | "normal" | "keyword" | "args" | "kwargs";

export interface Parameter {
  at: number;
  name: string;
  kind: ParameterKind;
  annotation: Expression | null;
  default: Expression | null;
}

export interface FunctionDefinition {
  kind: "function";
  at: number;
  /** Offset of the `def` (or `async`) keyword; `at` may be a decorator's. */
  definedAt: number;
  name: string;
  isAsync: boolean;
  isGenerator: boolean;
  decorators: Expression[];
  typeParameters: TypeParameter[];
  parameters: Parameter[];
  returns: Expression | null;
  body: Statement[];
  docstring: string | null;
}

export interface TypeParameter {
  name: string;
  bound: Expression | null;
}

export interface ClassDefinition {
  kind: "class";
  at: number;
  name: string;
  decorators: Expression[];
  typeParameters: TypeParameter[];
  args: Argument[];
  body: Statement[];
  docstring: string | null;
}

export interface ImportedName {
  name: string;
  as: string | null;
}

export type Statement =
  | FunctionDefinition
  | ClassDefinition
  | { kind: "import"; at: number; names: ImportedName[] }
  /** `level` counts the leading dots; the name `*` imports all. */
  | { kind: "import-from"; at: number; level: number; module: string; names: ImportedName[] }
  | { kind: "assign"; at: number; targets: Expression[]; value: Expression }
  | { kind: "annotated"; at: number; target: Expression; annotation: Expression; value: Expression | null }
  | { kind: "update"; at: number; target: Expression; operator: string; value: Expression }
  | { kind: "type-alias"; at: number; name: string; typeParameters: TypeParameter[]; value: Expression }
  | { kind: "if"; at: number; branches: { test: Expression | null; body: Statement[] }[] }
  | { kind: "try"; at: number; body: Statement[]; handlers: Handler[]; otherwise: Statement[]; final: Statement[] }
  | { kind: "for"; at: number; target: Expression; iterable: Expression; body: Statement[]; otherwise: Statement[] }
  | { kind: "while"; at: number; test: Expression; body: Statement[] }
  | { kind: "with"; at: number; items: { value: Expression; target: Expression | null }[]; body: Statement[] }
  | { kind: "match"; at: number; bodies: Statement[][] }
  | { kind: "return"; at: number; value: Expression | null }
  | { kind: "raise"; at: number; value: Expression | null }
  | { kind: "assert"; at: number; test: Expression }
  | { kind: "delete"; at: number; targets: Expression[] }
  | { kind: "expression"; at: number; value: Expression }
  | { kind: "scope"; at: number; global: boolean; names: string[] }
  | { kind: "pass" | "break" | "continue"; at: number }
  | { kind: "opaque"; at: number; what: string };

export interface Handler {
  type: Expression | null;
  name: string | null;
  body: Statement[];
}

/** A parsed file. `errors` are the offsets where the grammar lost its way, in order. */
export interface ModuleSyntax {
  body: Statement[];
  errors: number[];
}
