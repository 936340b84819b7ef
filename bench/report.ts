export interface Row {
  name: string;
  flowyard: string;
  prefect: string;
  ratio: string;
  goal: string;
}

const HEAD: Row = { name: "", flowyard: "Flowyard", prefect: "Prefect 3.9.1", ratio: "ratio", goal: "goal" };

/** A Markdown table whose columns line up in a terminal too. */
export function formatTable(rows: readonly Row[]): string {
  const cells = [HEAD, ...rows].map((row) => [row.name, row.flowyard, row.prefect, row.ratio, row.goal]);
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`);
  lines.splice(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
  return lines.join("\n");
}
