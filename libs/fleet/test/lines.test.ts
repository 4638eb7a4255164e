/** A child's output as whole lines. */

import { describe, expect, test } from "vitest";
import { LINE_CHARACTERS_MAX, splitLines } from "../src/index.ts";

function split(...chunks: readonly (string | Uint8Array)[]): string[] {
  const lines: string[] = [];
  const splitter = splitLines((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(Buffer.from(chunk));
  splitter.end();
  return lines;
}

describe("lines", () => {
  test("are the same however the stream was cut", () => {
    expect(split("one\ntwo\r\nthree")).toEqual(["one", "two", "three"]);
    expect(split("o", "ne\nt", "wo\r", "\nthr", "ee")).toEqual(["one", "two", "three"]);
  });

  test("keep a character whose bytes came in two chunks", () => {
    const bytes = Buffer.from("mühle\n");
    expect(split(bytes.subarray(0, 2), bytes.subarray(2))).toEqual(["mühle"]);
  });

  test("are cut where the child never ends one (I6)", () => {
    const lines = split("x".repeat(LINE_CHARACTERS_MAX), "x".repeat(10));
    expect(lines.map((line) => line.length)).toEqual([LINE_CHARACTERS_MAX, 10]);
  });

  test("keep empty ones in the middle and add none at the end", () => {
    expect(split("a\n\nb\n")).toEqual(["a", "", "b"]);
    expect(split()).toEqual([]);
  });
});
