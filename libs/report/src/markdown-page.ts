/** The same report as Markdown. What a chart shows, its alternative says. */

import { isFigures, textOf } from "./cells.ts";
import type { Block, Cell, Page } from "./document.ts";

/** Text that means nothing to Markdown and stays inside its cell. */
const escapeCell = (cell: Cell): string =>
  textOf(cell)
    .replaceAll(/[\\|*_`<[\]]/g, String.raw`\$&`)
    .replaceAll(/\s+/g, " ");

export function markdownTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]): string => `| ${cells.map(escapeCell).join(" | ")} |`;
  const rule = head.map((_, at) => (isFigures(rows, at) ? "---:" : "---"));
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
