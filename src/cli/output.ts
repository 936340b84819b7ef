import { styleText } from "node:util";
import { toSafeLine, toSafeText } from "./safe-text.ts";

/** A stream that a command prints to; process.stdout and process.stderr are such. */
export interface TextStream {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
}

export type Style = Parameters<typeof styleText>[0];

export interface Column<Row> {
  title: string;
  value: (row: Row) => string;
  /** Only applied to a terminal. */
  style?: (row: Row) => Style | undefined;
}

/** The only place that prints. Data goes to stdout, text for people to stderr; styles only to a terminal. */
export interface Output {
  /** A line of data. */
  line(text: string): void;
  json(value: unknown): void;
  /** An aligned table with a head on a terminal; elsewhere one tab-separated line per row and no head. */
  table<Row>(rows: Row[], columns: Column<Row>[]): void;
  /** One labelled value per line, the empty ones left out. */
  fields(values: Record<string, unknown>): void;
  /** Text as it is, for the output of another program. */
  raw(text: string, stream: "stdout" | "stderr"): void;
  /** Text for people. */
  say(text: string): void;
  success(text: string): void;
  warn(text: string): void;
  error(text: string): void;
  /** Styled for stdout or stderr when that is a terminal, plain otherwise. */
  paint(style: Style, text: string, stream?: "stdout" | "stderr"): string;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
}

interface OutputOptions {
  stdout: TextStream;
  stderr: TextStream;
  colors: boolean;
}

const COLUMN_GAP = "  ";
/** Of a terminal that does not know how wide it is, or says 0 as that of a CI job does. */
const DEFAULT_WIDTH = 120;

export function createOutput({ stdout, stderr, colors }: OutputOptions): Output {
  const isTerminal = { stdout: stdout.isTTY === true, stderr: stderr.isTTY === true };
  const paint: Output["paint"] = (style, text, stream = "stdout") =>
    colors && isTerminal[stream] ? styleText(style, text, { validateStream: false }) : text;
  const line = (text: string) => void stdout.write(`${text}\n`);
  const say = (text: string) => void stderr.write(`${text}\n`);
  return {
    line,
    json: (value) => line(JSON.stringify(value, null, 2)),
    table(rows, columns) {
      if (!isTerminal.stdout) {
        for (const row of rows) {
          line(columns.map((column) => toSafeLine(column.value(row))).join("\t"));
        }
        return;
      }
      for (const text of layOutTable(rows, columns, stdout.columns || DEFAULT_WIDTH, paint)) {
        line(text);
      }
    },
    fields(values) {
      const shown = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
      const width = Math.max(0, ...shown.map(([label]) => label.length));
      for (const [label, value] of shown) {
        const text = toSafeText(typeof value === "object" ? JSON.stringify(value, null, 2) : String(value));
        const indented = text.replaceAll("\n", `\n${" ".repeat(width + COLUMN_GAP.length)}`);
        line(paint("dim", label.padEnd(width)) + COLUMN_GAP + indented);
      }
    },
    raw: (text, stream) => void (stream === "stdout" ? stdout : stderr).write(text),
    say,
    success: (text) => say(paint("green", text, "stderr")),
    warn: (text) => say(paint("yellow", `Warning: ${text}`, "stderr")),
    error: (text) => say(paint("red", text, "stderr")),
    paint,
    stdoutIsTerminal: isTerminal.stdout,
    stderrIsTerminal: isTerminal.stderr,
  };
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text;
}

/** Columns as wide as their widest value; when the terminal is narrower, the widest ones give way first. */
function layOutTable<Row>(rows: Row[], columns: Column<Row>[], width: number, paint: Output["paint"]): string[] {
  const cells = rows.map((row) => columns.map((column) => toSafeLine(column.value(row))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((values) => values[index]?.length ?? 0)),
  );
  const room = Math.max(columns.length * 4, width - COLUMN_GAP.length * (columns.length - 1));
  while (widths.reduce((sum, value) => sum + value, 0) > room) {
    const widest = widths.indexOf(Math.max(...widths));
    widths[widest] = (widths[widest] ?? 1) - 1;
  }
  const head = columns.map((column, index) => cut(column.title, widths[index] ?? 0).padEnd(widths[index] ?? 0));
  const body = rows.map((row, rowIndex) =>
    columns
      .map((column, index) => {
        const columnWidth = widths[index] ?? 0;
        const text = cut(cells[rowIndex]?.[index] ?? "", columnWidth);
        const style = column.style?.(row);
        return (style === undefined ? text : paint(style, text)) + " ".repeat(columnWidth - text.length);
      })
      .join(COLUMN_GAP)
      .trimEnd(),
  );
  return [paint("bold", head.join(COLUMN_GAP).trimEnd()), ...body];
}
