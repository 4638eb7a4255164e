/** The same report as Markdown. What a chart shows, its alternative says. */

import type { Block, Cell, Page } from "./document.ts";

const textOf = (cell: Cell): string => (typeof cell === "object" ? cell.text : String(cell));

/** Text that means nothing to Markdown and stays inside its cell. */
const escapeCell = (cell: Cell): string =>
  textOf(cell)
    .replaceAll(/[\\|*_`<[\]]/g, String.raw`\$&`)
    .replaceAll(/\s+/g, " ");

/** Columns that hold a number anywhere are aligned to the right. */
export function markdownTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]): string => `| ${cells.map(escapeCell).join(" | ")} |`;
  const rule = head.map((_, at) =>
    rows.some((row) => typeof row[at] === "number") ? "---:" : "---",
  );
  return [line(head), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n");
}

function writeBlock(block: Block): string {
  switch (block.type) {
    case "text":
      return block.text;
    case "figures":
      return block.figures.map(([label, cell]) => `- ${label}: ${textOf(cell)}`).join("\n");
    case "table":
      return markdownTable(block.head, block.rows);
    case "code":
      return `\`\`\`\n${block.text}\n\`\`\``;
    case "chart":
      return block.alternative;
  }
}

export function markdownPage({ title, summary, sections }: Page): string {
  const parts = [`# ${title}`];
  if (summary !== undefined) parts.push(`**${summary.text}**`);
  for (const section of sections) {
    parts.push(`## ${section.title}`, ...section.blocks.map(writeBlock));
  }
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}
