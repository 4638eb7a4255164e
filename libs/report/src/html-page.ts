/**
 * A report as one HTML file that needs nothing else: no script, no font, no other file. It follows
 * the reader's choice of light or dark, and prints.
 */

import { isFigures, textOf } from "./cells.ts";
import type { Block, Cell, Page, Section, Tone } from "./document.ts";
import { escapeText } from "./escape.ts";
import { paletteVariables } from "./palette.ts";

const LIGHT =
  "--ink:#1d2433;--faint:#626b7a;--rule:#e3e6ec;--paper:#ffffff;--card:#f7f8fa;" +
  `--band:#f59e0b;--good:#0b7a4b;--bad:#c62828;${paletteVariables("light")}`;
const DARK =
  "--ink:#e6e9ef;--faint:#98a2b3;--rule:#2c3340;--paper:#12161d;--card:#1a2029;" +
  `--band:#f5b74a;--good:#4cc38a;--bad:#ff7b72;${paletteVariables("dark")}`;

const STYLE = `
:root{color-scheme:light dark;${LIGHT}}
@media (prefers-color-scheme:dark){:root{${DARK}}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px}
h2{font-size:17px;margin:36px 0 10px;padding-top:14px;border-top:1px solid var(--rule)}
p{margin:8px 0;max-width:76ch}
.summary{font-size:17px;font-weight:600;margin:0 0 8px}
.good{color:var(--good)}.bad{color:var(--bad)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;
margin:14px 0}
.figures div{background:var(--card);border-radius:8px;padding:10px 14px}
.figures dt{color:var(--faint);font-size:12px}
.figures dd{margin:0;font-size:19px;font-weight:600;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto;margin:12px 0}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--faint);font-weight:500}
th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top}
td.number,th.number{text-align:right;white-space:nowrap}
td.word{white-space:nowrap}
pre{background:var(--card);border-radius:8px;padding:12px 14px;overflow-x:auto;font-size:13px}
figure{margin:18px 0}
@media print{main{max-width:none;padding:0}figure,tr{break-inside:avoid}}
`;

const WORD_LENGTH_MAX = 32;

const toneOf = (cell: Cell): Tone => (typeof cell === "object" ? cell.tone : "plain");

/** A name, which is not broken at its hyphens. */
const isWord = (text: string): boolean => text.length <= WORD_LENGTH_MAX && !/\s/.test(text);

/** ` class="..."` of what applies, or nothing. */
function classes(cell: Cell, isFigure: boolean): string {
  const kind = isFigure ? "number" : isWord(textOf(cell)) ? "word" : "";
  const names = [kind, toneOf(cell)].filter((name) => name !== "" && name !== "plain");
  return names.length === 0 ? "" : ` class="${names.join(" ")}"`;
}

function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const figures = head.map((_, at) => isFigures(rows, at));
  const titles = head.map(
    (title, at) => `<th${figures[at] === true ? ' class="number"' : ""}>${escapeText(title)}</th>`,
  );
  const lines = rows.map(
    (row) =>
      `<tr>${row
        .map(
          (cell, at) =>
            `<td${classes(cell, figures[at] === true)}>${escapeText(textOf(cell))}</td>`,
        )
        .join("")}</tr>`,
  );
  return (
    `<div class="wide"><table><thead><tr>${titles.join("")}</tr></thead>` +
    `<tbody>${lines.join("\n")}</tbody></table></div>`
  );
}

function writeBlock(block: Block): string {
  switch (block.type) {
    case "text":
      return `<p>${escapeText(block.text)}</p>`;
    case "figures": {
      const entries = block.figures.map(([label, cell]) => {
        const figure = `<dd class="${toneOf(cell)}">${escapeText(textOf(cell))}</dd>`;
        return `<div><dt>${escapeText(label)}</dt>${figure}</div>`;
      });
      return `<dl class="figures">${entries.join("")}</dl>`;
    }
    case "table":
      return table(block.head, block.rows);
    case "code":
      return `<pre>${escapeText(block.text)}</pre>`;
    case "chart":
      return `<figure>${block.svg}</figure>`;
  }
}

const writeSection = ({ title, blocks }: Section): string =>
  `<section><h2>${escapeText(title)}</h2>${blocks.map(writeBlock).join("\n")}</section>`;

export function htmlPage({ title, summary, sections }: Page): string {
  const said =
    summary === undefined
      ? ""
      : `<p class="summary ${summary.tone}">${escapeText(summary.text)}</p>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeText(title)}</title>
<style>${STYLE}</style>
</head>
<body><main>
<h1>${escapeText(title)}</h1>
${said}
${sections.map(writeSection).join("\n")}
</main></body>
</html>
`;
}
