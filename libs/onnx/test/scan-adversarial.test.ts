/** The scan against files that mean harm: it never throws, never hangs and never grows. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeModel, scanModel } from "../src/index.ts";
import { concat, field, richModel } from "./samples.ts";

const CODES = ["MODEL_CORRUPT", "MODEL_UNSUPPORTED", "MODEL_TOO_LARGE"];
const valid = encodeModel(richModel());

function scanned(file: Uint8Array): void {
  const result = scanModel(file);
  if (result.ok) return;
  expect(CODES).toContain(result.error.code);
  expect(result.error.message.length).toBeLessThan(500);
}

test("a model cut off anywhere is refused or whole", () => {
  for (let length = 0; length < valid.length; length++) {
    expect(() => scanned(valid.subarray(0, length))).not.toThrow();
  }
});

test("flipped bytes never throw", () => {
  const flip = fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(fc.array(flip, { minLength: 1, maxLength: 8 }), (flips) => {
      const file = valid.slice();
      for (const [at, mask] of flips) file[at] = (file[at] as number) ^ mask;
      scanned(file);
    }),
    { numRuns: 2_000 },
  );
});

test("bytes cut out, doubled or inserted never throw", () => {
  const place = fc.nat(valid.length);
  fc.assert(
    fc.property(place, place, fc.uint8Array({ maxLength: 20 }), (from, to, inserted) => {
      scanned(concat(valid.subarray(0, from), inserted, valid.subarray(to)));
    }),
    { numRuns: 500 },
  );
});

test("random bytes never throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), scanned), { numRuns: 1_000 });
});

test("a megabyte of the smallest messages ends at the limit on nodes", () => {
  const nodes = new Uint8Array(1_000_000);
  for (let at = 0; at < nodes.length; at += 5) nodes.set([0x0a, 3, 0x22, 1, 0x41], at);
  const result = scanModel(concat([0x08, 10], field(7, nodes)));
  expect(result).toMatchObject({ ok: false, error: { code: "MODEL_TOO_LARGE" } });
});

test("subgraphs nested a hundred deep end at the limit", () => {
  let graph: Uint8Array = new Uint8Array();
  for (let depth = 0; depth < 100; depth++) graph = field(1, field(5, field(6, graph)));
  const result = scanModel(concat([0x08, 10], field(7, graph)));
  expect(result).toMatchObject({ ok: false, error: { code: "MODEL_UNSUPPORTED" } });
});

test("scanning a large tensor does not copy it", () => {
  const weights = new Uint8Array(32 * 1024 * 1024);
  const tensor = { name: "w", dims: [weights.length], dataType: 2, rawData: weights };
  const file = encodeModel({
    ...richModel(),
    graph: { node: [], initializer: [tensor], input: [], output: [] },
  });
  const before = process.memoryUsage();
  scanModel(file);
  const after = process.memoryUsage();
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(1024 * 1024);
});
