/** Price books: what a sound one reads as, and that every wrong one is refused with its line. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  cheapestOffer,
  DEFAULT_PRICE_BOOK,
  describeProblem,
  parsePriceBook,
} from "../src/index.ts";

const SOUND = `{
  "name": "test prices",
  "zones": ["north", "south"],
  "crossingPerGb": 0.02,
  "kinds": [
    { "kind": "gpu", "device": "gpu", "memoryBytes": 24000000000, "startUpSeconds": 120,
      "throughput": { "int8": 2 } }
  ],
  "offers": [
    { "kind": "gpu", "zone": "north", "lifecycle": "on-demand", "pricePerHour": 1 },
    { "kind": "gpu", "zone": "south", "lifecycle": "spot", "pricePerHour": 0.4,
      "interruptionsPerHour": 0.03 }
  ]
}`;

const problemsOf = (text: string): string[] => {
  const book = parsePriceBook(text);
  return book.ok ? [] : book.error.map(describeProblem);
};

test("the one of docs/fleet.md is read as it stands", () => {
  const page = readFileSync(new URL("../../../docs/fleet.md", import.meta.url), "utf8");
  const text = /## The price book\n[^]*?```json\n([^]*?)```/.exec(page)?.[1] ?? "";
  const book = parsePriceBook(text);
  expect(book).toMatchObject({ ok: true, value: { name: "ours" } });
});

describe("a price book", () => {
  test("is read with prices in micro-dollars", () => {
    const book = parsePriceBook(SOUND);
    expect(book).toMatchObject({
      ok: true,
      value: { crossingMicrosPerGb: 20_000, source: "not stated" },
    });
    if (!book.ok) return;
    expect(book.value.offers.map(({ microsPerHour }) => microsPerHour)).toEqual([
      1_000_000, 400_000,
    ]);
    expect(book.value.kinds[0]?.throughput.get("int8")).toBe(2);
  });

  test.each([
    ['"pricePerHour": 1 ', '"pricePerHour": -1 ', "line 10: offers[0].pricePerHour: a number from"],
    ['"pricePerHour": 1 ', '"pricePerHour": 0 ', "found"],
    [
      ', "pricePerHour": 1 ',
      "",
      "line 10: offers[0].pricePerHour: a number from 0.000001 to 10000",
    ],
    ['"zone": "south"', '"zone": "west"', 'line 11: offers[1].zone: "west" is none of the zones'],
    ['"lifecycle": "spot"', '"lifecycle": "cheap"', "one of on-demand, spot expected"],
    ['"kind": "gpu", "zone": "south"', '"kind": "tpu", "zone": "south"', "none of the kinds"],
    ['"zones": ["north", "south"]', '"zones": ["north", "north"]', "given twice"],
    ['"zones": ["north", "south"]', '"zones": []', "a list with at least one item expected"],
    [
      '"name": "test prices"',
      '"name": "a", "name": "b"',
      'line 2: not JSON: "name" is given twice',
    ],
    ['"startUpSeconds": 120', '"startUpSeconds": "120"', 'is "120"'],
    ['"memoryBytes": 24000000000', '"memoryBytes": 0', "kinds[0].memoryBytes"],
    ['"crossingPerGb": 0.02', '"crossing": 0.02', "crossing: unknown; known are"],
    ['"lifecycle": "on-demand"', '"lifecycle": "spot"', 'no on-demand price for "gpu"'],
    ['"name": "test prices",', '"name": "test prices"', "line 3: not JSON: expected"],
  ])("is refused with %s turned into %s", (before, after, message) => {
    expect(SOUND).toContain(before);
    const problems = problemsOf(SOUND.replace(before, after)).join("\n");
    expect(problems).toContain(message === "found" ? "is 0" : message);
  });

  test("is refused where a place is priced twice", () => {
    const twice = SOUND.replace(
      '"south", "lifecycle": "spot"',
      '"north", "lifecycle": "on-demand"',
    );
    expect(problemsOf(twice).join()).toContain("gpu on-demand in north is priced twice");
  });

  test("never throws, whatever the text is", () => {
    fc.assert(
      fc.property(fc.nat(SOUND.length), fc.nat(20), fc.string({ maxLength: 8 }), (at, cut, put) => {
        const text = SOUND.slice(0, at) + put + SOUND.slice(at + cut);
        const book = parsePriceBook(text);
        if (!book.ok) expect(book.error.every(({ line }) => line >= 1)).toBe(true);
      }),
    );
  });

  test("reads what JSON.parse reads, and refuses what it refuses", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(problemsOf(text).some((problem) => problem.includes("not JSON"))).toBe(false);
        expect(problemsOf(`${text} ]`).join()).toContain("not JSON");
      }),
    );
  });
});

test("the default prices offer every kind in every zone, spot below on demand", () => {
  for (const { kind } of DEFAULT_PRICE_BOOK.kinds) {
    const [onDemand, spot] = [
      cheapestOffer(DEFAULT_PRICE_BOOK, kind, "on-demand"),
      cheapestOffer(DEFAULT_PRICE_BOOK, kind, "spot"),
    ];
    expect(spot?.microsPerHour).toBeLessThan(onDemand?.microsPerHour ?? 0);
    const offers = DEFAULT_PRICE_BOOK.offers.filter((offer) => offer.kind === kind);
    expect(new Set(offers.map(({ zone }) => zone))).toEqual(new Set(DEFAULT_PRICE_BOOK.zones));
  }
});
