/** The outbox on a fake bus: what leaves together, its limits, what is handed back. */

import { setImmediate as turn } from "node:timers/promises";
import { FRAME_BYTES_MAX, FRAME_ITEMS_MAX } from "@millrace/protocol";
import { expect, test } from "vitest";
import { Outbox } from "../src/index.ts";

interface Frame {
  readonly subject: string;
  readonly key: string;
  readonly items: readonly number[];
}

/** A bus that remembers, and an outbox of numbers on it; an item weighs `bytesOf` bytes. */
function fakes(
  bytesOf: (item: number) => number = () => 1,
  whenDropped: (outbox: Outbox<number>, items: readonly number[]) => void = () => undefined,
) {
  const published: Frame[] = [];
  const dropped: Frame[] = [];
  let encoded: Omit<Frame, "subject"> | undefined;
  const bus = {
    connected: true,
    publish(subject: string): boolean {
      if (!bus.connected || encoded === undefined) return false;
      published.push({ subject, ...encoded });
      return true;
    },
  };
  const outbox: Outbox<number> = new Outbox<number>({
    bus,
    bytesOf,
    encode: (key, items) => {
      encoded = { key, items: [...items] };
      return new Uint8Array();
    },
    dropped: (subject, key, items) => {
      dropped.push({ subject, key, items });
      whenDropped(outbox, items);
    },
  });
  return { bus, outbox, published, dropped };
}

test("items of one turn for one subject and key leave as one frame, in order", async () => {
  const { outbox, published } = fakes();
  for (let at = 0; at < 5; at++) {
    outbox.push("s1", "a", at);
    outbox.push("s1", "b", 10 + at);
    outbox.push("s2", "a", 20 + at);
  }
  expect(published).toEqual([]);
  await turn();
  expect(published).toEqual([
    { subject: "s1", key: "a", items: [0, 1, 2, 3, 4] },
    { subject: "s1", key: "b", items: [10, 11, 12, 13, 14] },
    { subject: "s2", key: "a", items: [20, 21, 22, 23, 24] },
  ]);
  outbox.push("s1", "a", 5);
  await turn();
  expect(published.slice(3)).toEqual([{ subject: "s1", key: "a", items: [5] }]);
});

test("a frame never has more items than the limit", async () => {
  const { outbox, published } = fakes();
  const count = 2 * FRAME_ITEMS_MAX + 1;
  for (let at = 0; at < count; at++) outbox.push("s", "k", at);
  await turn();
  expect(published.map(({ items }) => items.length)).toEqual([FRAME_ITEMS_MAX, FRAME_ITEMS_MAX, 1]);
  expect(published.flatMap(({ items }) => items)).toEqual(
    Array.from({ length: count }, (_, at) => at),
  );
});

test("a frame never has more bytes than the limit, unless it is a single item", async () => {
  const { outbox, published } = fakes((item) => item);
  const sizes = [
    FRAME_BYTES_MAX / 2,
    FRAME_BYTES_MAX / 4,
    FRAME_BYTES_MAX / 4,
    2 * FRAME_BYTES_MAX,
    1,
  ];
  for (const size of sizes) outbox.push("s", "k", size);
  await turn();
  expect(published.map(({ items }) => items)).toEqual([
    [FRAME_BYTES_MAX / 2, FRAME_BYTES_MAX / 4],
    [FRAME_BYTES_MAX / 4],
    [2 * FRAME_BYTES_MAX],
    [1],
  ]);
});

test("what a disconnected bus refuses is handed back, and may be kept", async () => {
  const { bus, outbox, published, dropped } = fakes();
  bus.connected = false;
  outbox.push("s", "k", 1);
  outbox.push("s", "k", 2);
  await turn();
  bus.connected = true;
  outbox.push("s", "k", 3);
  await turn();
  expect(dropped).toEqual([{ subject: "s", key: "k", items: [1, 2] }]);
  expect(published).toEqual([{ subject: "s", key: "k", items: [3] }]);
});

test("what is pushed for dropped items goes with the next turn, full frames too", async () => {
  const { bus, outbox, published, dropped } = fakes(
    () => 1,
    (again, items) => {
      for (const item of items) again.push("s", "k", item);
      bus.connected = true;
    },
  );
  bus.connected = false;
  const count = FRAME_ITEMS_MAX + 5;
  for (let at = 0; at < count; at++) outbox.push("s", "k", at);
  expect(dropped.length).toBe(1);
  await turn();
  const sent = published.flatMap(({ items }) => items);
  expect(sent.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, at) => at));
  expect(Math.max(...published.map(({ items }) => items.length))).toBeLessThanOrEqual(
    FRAME_ITEMS_MAX,
  );
});

test("a flush sends at once and leaves nothing for the turn's end", async () => {
  const { outbox, published } = fakes();
  outbox.push("s", "k", 1);
  outbox.flush();
  expect(published).toEqual([{ subject: "s", key: "k", items: [1] }]);
  await turn();
  expect(published.length).toBe(1);
});
