/** One report as HTML and as Markdown. */

import { describe, expect, test } from "vitest";
import { htmlPage, markdownPage, markdownTable, type Page } from "../src/index.ts";

const PAGE: Page = {
  title: "A <drill>",
  summary: { text: "Red: I5 did not hold.", tone: "bad" },
  sections: [
    {
      title: "Verdict",
      blocks: [
        { type: "text", text: "Workers & brokers." },
        { type: "figures", figures: [["Failed", { text: "3", tone: "bad" }]] },
        {
          type: "table",
          head: ["kind", "count"],
          rows: [
            ["kill", 3],
            ["a|b", 4],
          ],
        },
        { type: "code", text: "millrace chaos run" },
        { type: "chart", svg: "<svg></svg>", alternative: "See the page." },
      ],
    },
  ],
};

describe("htmlPage", () => {
  const html = htmlPage(PAGE);

  test("needs nothing from anywhere else", () => {
    expect(html).not.toMatch(/(?:src|href)=|@import|url\(|<script/);
  });

  test("writes text as text and charts as they are", () => {
    expect(html).toContain("<h1>A &lt;drill&gt;</h1>");
    expect(html).toContain("Workers &amp; brokers.");
    expect(html).toContain("<figure><svg></svg></figure>");
  });

  test("marks tones and aligns numbers", () => {
    expect(html).toContain('<dd class="bad">3</dd>');
    expect(html).toContain('<td class="number">4</td>');
  });

  test("follows the reader's choice of light or dark", () => {
    expect(html).toContain("@media (prefers-color-scheme:dark)");
  });
});

describe("markdownPage", () => {
  test("says the same without the charts", () => {
    const text = markdownPage(PAGE);
    expect(text).toContain("**Red: I5 did not hold.**");
    expect(text).toContain("- Failed: 3");
    expect(text).toContain("See the page.");
    expect(text).not.toContain("<svg");
  });

  test("keeps a bar inside its cell and aligns numbers", () => {
    expect(markdownTable(["kind", "count"], [["a|b", 4]])).toBe(
      "| kind | count |\n| --- | ---: |\n| a\\|b | 4 |",
    );
  });
});

test("columns of figures line up at their right, with units too; others do not", () => {
  const head = ["money", "share", "beside", "missing", "time", "mixed", "nothing"];
  const rows = [
    ["$1.50", "12.0 %", "3.1 % (2.9 %)", "12 ms", "2026-01-01T00:00:00Z", "4", ""],
    ["< 0.01", "3 %", "4 % (4 %)", "-", "2026-01-02T00:00:00Z", "4 gpu-l4: why", "-"],
  ];
  expect(markdownTable(head, rows).split("\n")[1]).toBe(
    "| ---: | ---: | ---: | ---: | --- | --- | --- |",
  );
});
