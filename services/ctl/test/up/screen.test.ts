/** What is drawn on a terminal, judged by what a terminal shows. */

import { describe, expect, test } from "vitest";
import { Screen } from "../../src/up/screen.ts";

/** Understands what {@link Screen} writes: lines, cursor up, erase below. */
function terminal(columns = 40, rows = 10) {
  const lines: string[] = [""];
  let at = 0;
  const write = (text: string): void => {
    for (const part of text.replaceAll("\u001B", "~").match(/~\[\d*[AJ]|\r|\n|[^~\r\n]+/g) ?? []) {
      const [, count = "", code = ""] = /^~\[(\d*)([AJ])$/.exec(part) ?? [];
      if (code === "A") at -= Number(count);
      else if (code === "J") lines.length = at + 1;
      else if (part === "\n") lines[++at] ??= "";
      else if (part !== "\r") lines[at] = part;
      if (code === "J") lines[at] = "";
    }
  };
  return { isTTY: true, columns, rows, write, shown: () => lines.slice(0, -1) };
}

describe("a terminal", () => {
  test("shows a block that replaces itself, with the lines above it", () => {
    const output = terminal();
    const screen = new Screen(output);
    screen.say("first");
    screen.show("a 1\nb 1");
    screen.say("second");
    screen.show("a 2\nb 2\nc 2");
    screen.show("a 3");
    expect(output.shown()).toEqual(["first", "second", "a 3"]);
  });

  test("keeps a released block and goes on below it", () => {
    const output = terminal();
    const screen = new Screen(output);
    screen.show("a 1");
    screen.release();
    screen.say("draining");
    expect(output.shown()).toEqual(["a 1", "draining"]);
  });

  test("cuts what is wider or higher than it is, which could not be erased again", () => {
    const output = terminal(10, 6);
    const screen = new Screen(output);
    screen.show(["0123456789ABC", "1", "2", "3", "4", "5"].join("\n"));
    expect(output.shown()).toEqual(["012345678", "1", "2", "... 3 more lines"]);
    screen.show("done");
    expect(output.shown()).toEqual(["done"]);
  });
});

describe("a file or a pipe", () => {
  test("gets every block whole and without control characters", () => {
    const written: string[] = [];
    const screen = new Screen({ write: (text) => written.push(text) });
    screen.say("first");
    screen.show("a 1\nb 1");
    screen.show("a 2\nb 2");
    expect(written.join("")).toBe("first\na 1\nb 1\na 2\nb 2\n");
  });
});
