/** Runs and outputs are the same on both sides of the thread. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packOutputs, packRun, unpackOutputs, unpackRun } from "../src/crossing.ts";
import type { RanAnswer, RunMessage } from "../src/messages.ts";

const buffer = fc.nat({ max: 64 }).map((bytes) => new ArrayBuffer(bytes));
const counts = fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 8 });
const input = fc.oneof(
  fc.record({ dims: counts, at: fc.nat() }),
  fc.record({ dims: counts, at: fc.constant(0), strings: fc.array(fc.string(), { maxLength: 4 }) }),
);
const run: fc.Arbitrary<RunMessage> = fc.record({
  type: fc.constant("run"),
  ref: fc.string(),
  tier: fc.constantFrom(0, 1, 2),
  startByUs: fc.oneof(fc.nat(), fc.constant(Number.POSITIVE_INFINITY)),
  partial: fc.boolean(),
  slab: buffer,
  inputs: fc.array(input, { maxLength: 4 }),
  rows: fc.nat(),
  length: fc.nat(),
  items: fc
    .array(fc.tuple(fc.nat({ max: 1000 }), fc.nat({ max: 1000 })), { maxLength: 9 })
    .map((pairs) => Int32Array.from(pairs.flat())),
});
const ran: fc.Arbitrary<RanAnswer> = fc.record({
  type: fc.constant("ran"),
  computeUs: fc.nat(),
  slab: buffer,
  bytes: fc.uint8Array().map((bytes) => new Uint8Array(bytes)),
  ends: counts,
});

describe("what crosses to the thread", () => {
  test("is the run that was asked for", () => {
    const arrives = (id: number, asked: RunMessage): void => {
      expect(unpackRun(structuredClone(packRun(id, asked)))).toEqual({ id, run: asked });
    };
    fc.assert(fc.property(fc.nat(), run, arrives));
  });

  test("and back are its outputs", () => {
    const arrives = (id: number, answer: RanAnswer): void => {
      expect(unpackOutputs(structuredClone(packOutputs(id, answer)))).toEqual({ id, answer });
    };
    fc.assert(fc.property(fc.nat(), ran, arrives));
  });
});
