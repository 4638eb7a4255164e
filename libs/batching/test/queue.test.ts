/** The order of a queue: tiers, deadlines, ageing; nothing is lost or served twice. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Tier } from "@millrace/protocol";
import { ModelQueue } from "../src/index.ts";
import { entry } from "./fixtures.ts";

const options = { ticketsMax: 1_000, ageAfterUs: 1_000 };

describe("queue", () => {
  test("tiers are strict and the earliest deadline goes first inside one", () => {
    const queue = new ModelQueue(options);
    const late = entry({ tier: 1, deadlineUs: 300 });
    const soon = entry({ tier: 1, deadlineUs: 100 });
    const batch = entry({ tier: 2, deadlineUs: 50 });
    const realtime = entry({ tier: 0, deadlineUs: 900 });
    for (const one of [late, batch, soon, realtime]) queue.push(one);
    expect([queue.pop(), queue.pop(), queue.pop(), queue.pop(), queue.pop()]).toEqual([
      realtime,
      soon,
      late,
      batch,
      undefined,
    ]);
  });

  test("what waits long enough moves up one tier at a time", () => {
    const queue = new ModelQueue(options);
    const old = entry({ tier: 2, arrivedUs: 0, deadlineUs: 10_000 });
    queue.push(old);
    queue.push(entry({ tier: 1, arrivedUs: 900, deadlineUs: 20_000 }));
    queue.age(999);
    expect(queue.topTier).toBe(1);
    queue.age(1_000);
    expect(queue.peek()).toBe(old);
    queue.push(entry({ tier: 0, arrivedUs: 1_500, deadlineUs: 90_000 }));
    queue.age(1_999);
    expect(queue.peek()).not.toBe(old);
    queue.age(2_000);
    expect(queue.peek()).toBe(old);
    expect(queue.size).toBe(3);
  });

  test("what is due leaves by deadline, in every tier", () => {
    const queue = new ModelQueue(options);
    expect(queue.earliestDeadlineUs).toBe(Infinity);
    const entries = [300, 100, 200, 50].map((deadlineUs, at) =>
      entry({ tier: (at % 3) as Tier, deadlineUs }),
    );
    for (const one of entries) queue.push(one);
    expect(queue.earliestDeadlineUs).toBe(50);
    expect(queue.takeDue(200).map(({ deadlineUs }) => deadlineUs)).toEqual([50, 100, 200]);
    expect(queue.size).toBe(1);
    expect(queue.rowsThrough(2)).toBe(1);
    expect(queue.earliestDeadlineUs).toBe(300);
  });

  test("rows ahead of a deadline are those above, and the part of the tier due before", () => {
    const queue = new ModelQueue(options);
    const SECOND_US = 1_000_000;
    for (let at = 1; at <= 10; at++) {
      queue.push(entry({ tier: 1, deadlineUs: SECOND_US + 100_000 * at }));
    }
    for (let at = 0; at < 3; at++) queue.push(entry({ tier: 0, deadlineUs: 9 * SECOND_US }));
    expect(queue.rowsAhead(1, SECOND_US)).toBe(3);
    expect(queue.rowsAhead(1, 1.45 * SECOND_US)).toBe(7);
    expect(queue.rowsAhead(1, 5 * SECOND_US)).toBe(13);
    expect(queue.rowsAhead(0, 5 * SECOND_US)).toBe(0);
    expect(queue.rowsAhead(2, Infinity)).toBe(13);
    // One long timeout among them does not put the others behind a ticket.
    queue.push(entry({ tier: 1, deadlineUs: 600 * SECOND_US }));
    expect(queue.rowsAhead(1, 5 * SECOND_US)).toBe(13);
    while (queue.pop() !== undefined);
    expect(queue.rowsAhead(1, 601 * SECOND_US)).toBe(0);
  });

  test("a ticket put back keeps its place", () => {
    const queue = new ModelQueue(options);
    const first = entry({ tier: 1, deadlineUs: 1 });
    queue.push(first);
    queue.push(entry({ tier: 1, deadlineUs: 2 }));
    expect(queue.pop()).toBe(first);
    queue.restore(first, 1);
    expect(queue.pop()).toBe(first);
    expect(queue.size).toBe(1);
  });

  test("a ticket that moved up and is put back where it came from leaves once", () => {
    const queue = new ModelQueue(options);
    const old = entry({ tier: 1, arrivedUs: 0, deadlineUs: 10_000 });
    queue.push(old);
    queue.age(1_000);
    expect(queue.pop()).toBe(old);
    queue.restore(old, 1);
    expect(queue.take(() => true)).toEqual([old]);
    expect(queue.size).toBe(0);
    queue.push(entry({ tier: 2, deadlineUs: 20_000 }));
    expect(queue.size).toBe(1);
  });

  test("every ticket leaves once, whatever is pushed, taken and aged in between", () => {
    const command = fc.oneof(
      fc.record({ push: fc.constantFrom<Tier>(0, 1, 2), deadlineUs: fc.nat(5_000) }),
      fc.constant("pop" as const),
      fc.record({ take: fc.nat(3) }),
      fc.record({ age: fc.nat(800) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
        const queue = new ModelQueue(options);
        const inside = new Set<number>();
        let nowUs = 0;
        let seq = 0;
        for (const step of commands) {
          if (step === "pop") {
            const popped = queue.pop();
            expect(popped === undefined).toBe(inside.size === 0);
            if (popped) expect(inside.delete(popped.ticket.seq)).toBe(true);
          } else if ("push" in step) {
            inside.add(seq);
            queue.push(
              entry({ seq, tier: step.push, arrivedUs: nowUs, deadlineUs: step.deadlineUs }),
            );
            seq++;
          } else if ("take" in step) {
            for (const taken of queue.take(({ ticket }) => ticket.seq % 4 === step.take)) {
              expect(inside.delete(taken.ticket.seq)).toBe(true);
            }
          } else {
            nowUs += step.age;
            queue.age(nowUs);
          }
          expect(queue.size).toBe(inside.size);
          expect(queue.rowsThrough(2)).toBe(inside.size);
        }
        while (queue.size > 0) expect(inside.delete(queue.pop()?.ticket.seq ?? -1)).toBe(true);
        expect(inside.size).toBe(0);
      }),
    );
  });
});
