/** Items to chunks, chunks to bytes and back, and bytes to lines. */

import fc from "fast-check";
import { CHUNK_BYTES_TARGET, CHUNK_ITEMS_MAX, fault } from "@millrace/protocol";
import { describe, expect, test } from "vitest";
import {
  addMember,
  type Chunk,
  ChunkPacker,
  countMembers,
  decodeChunk,
  encodeChunk,
  errorLine,
  hasMember,
  isRangeSet,
  type Item,
  type Line,
  LineSplitter,
  removeMember,
  resultLine,
} from "../src/index.ts";

const place = { tenant: "acme", job: "j1", generation: 1, model: "digits", version: 3 };

function pack(items: readonly (readonly [Item, number])[]): readonly Chunk[] {
  const packer = new ChunkPacker(place);
  const chunks = items.flatMap(([item, bytes]) => packer.add(item, bytes) ?? []);
  const last = packer.close();
  if (last !== undefined) chunks.push(last);
  expect(packer.items).toBe(items.length);
  expect(packer.chunks).toBe(chunks.length);
  return chunks;
}

const itemArbitrary: fc.Arbitrary<Item> = fc.oneof(
  fc.json({ noUnicodeString: false }).map((json) => ({
    ok: true as const,
    json: JSON.stringify({ inputs: json }),
  })),
  fc.string().map((message) => ({ ok: false as const, error: fault("WRONG_SHAPE", message) })),
);

test("every item is in one chunk, in its place, and no chunk is past its bounds", () => {
  const sized = fc.tuple(itemArbitrary, fc.nat(CHUNK_BYTES_TARGET * 2));
  fc.assert(
    fc.property(fc.array(sized, { maxLength: 300 }), (items) => {
      const chunks = pack(items);
      expect(chunks.flatMap((chunk) => chunk.items)).toEqual(items.map(([item]) => item));
      let first = 0;
      for (const [at, { head, items: own }] of chunks.entries()) {
        expect(head).toMatchObject({ ...place, chunk: at, first, items: own.length });
        expect(own.length).toBeGreaterThan(0);
        expect(own.length).toBeLessThanOrEqual(CHUNK_ITEMS_MAX);
        const bytes = items
          .slice(first, first + own.length)
          .reduce((sum, [, size]) => sum + size, 0);
        expect(own.length === 1 || bytes <= CHUNK_BYTES_TARGET).toBe(true);
        first += own.length;
      }
      // The same items again make the same chunks: their ids are what makes a repetition harmless.
      expect(pack(items)).toEqual(chunks);
    }),
    { numRuns: 50 },
  );
});

test("a chunk comes back from its bytes as it was", () => {
  fc.assert(
    fc.property(fc.array(itemArbitrary, { minLength: 1, maxLength: 64 }), (items) => {
      const [chunk] = pack(items.map((item) => [item, 1] as const));
      expect(decodeChunk(encodeChunk(chunk as Chunk))).toEqual({ ok: true, value: chunk });
    }),
  );
});

test("bytes that are no chunk are a fault", () => {
  const encoder = new TextEncoder();
  for (const text of ["", "{}", "nonsense", '{"v":1}']) {
    expect(decodeChunk(encoder.encode(text)).ok).toBe(false);
  }
  const [chunk] = pack([[{ ok: true, json: "{}" }, 2]]);
  const cut = encodeChunk(chunk as Chunk).subarray(0, -3);
  expect(decodeChunk(cut)).toMatchObject({ ok: false, error: { code: "INVALID_REQUEST" } });
});

test("lines of results begin with the item's number and are JSON", () => {
  const failed = errorLine(7, fault("WRONG_SHAPE", 'a "quoted"\nmessage'));
  expect(failed).toMatch(/^\{"item":7,/);
  expect(JSON.parse(failed)).toMatchObject({ item: 7, error: { code: "WRONG_SHAPE" } });
  expect(JSON.parse(resultLine(8, '{"a":1}', []))).toEqual({ item: 8, response: { a: 1 } });
  expect(JSON.parse(resultLine(8, "{}", ["AA=="]))).toMatchObject({ binary: ["AA=="] });
});

describe("lines", () => {
  const decoder = new TextDecoder();
  const LONGEST = 40;
  const split = (text: string, cuts: readonly number[], most = LONGEST): readonly string[] => {
    const bytes = new TextEncoder().encode(text);
    const splitter = new LineSplitter(most);
    const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length];
    const sorted = places.toSorted((a, b) => a - b);
    const lines: Line[] = [];
    for (let at = 1; at < sorted.length; at++) {
      for (const line of splitter.push(bytes.subarray(sorted[at - 1], sorted[at])))
        lines.push(line);
      expect(splitter.held).toBeLessThanOrEqual(most);
    }
    const last = splitter.end();
    if (last !== undefined) lines.push(last);
    return lines.map((line) => (line.kind === "line" ? decoder.decode(line.bytes) : "too long"));
  };

  test("are the same however the bytes come in, and long ones are skipped", () => {
    const line = fc.string({ maxLength: 60 }).map((text) => text.replace(/[\r\n]/g, "."));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat()), fc.boolean(), (texts, cuts, ended) => {
        const text = texts.join("\n") + (ended ? "\n" : "");
        const size = (one: string): number => new TextEncoder().encode(one).length;
        const whole = text === "" ? [] : text.split("\n");
        if (whole.at(-1) === "") whole.pop();
        const expected = whole.map((one) => (size(one) > LONGEST ? "too long" : one));
        expect(split(text, cuts)).toEqual(expected);
      }),
    );
  });

  test("may end in a carriage return too", () => {
    expect(split("a\r\nb\r\n\r\nc", [2, 5])).toEqual(["a", "b", "", "c"]);
  });
});

test("ranges behave as the set of numbers that they stand for", () => {
  const step = fc.tuple(fc.boolean(), fc.nat(40));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const model = new Set<number>();
      let set = "";
      for (const [isAdded, member] of steps) {
        set = isAdded ? addMember(set, member) : removeMember(set, member);
        if (isAdded) model.add(member);
        else model.delete(member);
        expect(isRangeSet(set)).toBe(true);
        expect(countMembers(set)).toBe(model.size);
        expect(hasMember(set, member)).toBe(isAdded);
      }
      for (let member = 0; member <= 41; member++) {
        expect(hasMember(set, member)).toBe(model.has(member));
      }
    }),
  );
  for (const wrong of ["1,1", "2-1", "1,2", "a", "1,", "-1"]) expect(isRangeSet(wrong)).toBe(false);
});
