/** Bodies in parts: put together once, and only what was asked for. */

import type { PartFrame } from "@millrace/protocol";
import { expect, test } from "vitest";
import { type AssemblyLimits, RemoteBodies } from "../src/remote-bodies.ts";

const want = (seq: number, bytes: number) => ({ seq, attempt: 0, bytes });

class Rig {
  nowUs = 0;
  readonly arrived: [number, readonly number[]][] = [];
  readonly gone: number[] = [];
  readonly bodies: RemoteBodies;
  last: Uint8Array | undefined;

  constructor(limits: Partial<AssemblyLimits> = {}) {
    this.bodies = new RemoteBodies({
      limits,
      nowUs: () => this.nowUs,
      arrived: (_ingress, { seq }, body) => {
        this.arrived.push([seq, [...body]]);
        this.last = body;
      },
      gone: (_ingress, { seq }) => this.gone.push(seq),
    });
  }

  expect(seq: number, bytes: number): void {
    this.bodies.expect("ingress-1", [want(seq, bytes)]);
  }

  take(seq: number, offset: number, total: number, ...bytes: number[]): PartFrame {
    const part = {
      from: "ingress-1",
      seq,
      attempt: 0,
      offset,
      total,
      bytes: Uint8Array.from(bytes),
    };
    this.bodies.take(part);
    return part;
  }
}

test("a body of one part is that part, without a copy", () => {
  const rig = new Rig();
  rig.expect(1, 3);
  const part = rig.take(1, 0, 3, 7, 8, 9);
  expect(rig.last).toBe(part.bytes);
});

test("parts of several bodies are put together apart", () => {
  const rig = new Rig();
  rig.expect(1, 4);
  rig.expect(2, 4);
  rig.take(1, 0, 4, 1, 2, 3);
  rig.take(2, 0, 4, 5, 6);
  rig.take(1, 3, 4, 4);
  rig.take(2, 2, 4, 7, 8);
  expect(rig.arrived).toEqual([
    [1, [1, 2, 3, 4]],
    [2, [5, 6, 7, 8]],
  ]);
  expect(rig.bodies.size).toBe(0);
});

test("what was not asked for is dropped", () => {
  const rig = new Rig();
  rig.take(1, 0, 2, 1, 2);
  rig.expect(1, 2);
  rig.bodies.take({
    from: "ingress-2",
    seq: 1,
    attempt: 0,
    offset: 0,
    total: 2,
    bytes: Uint8Array.of(1, 2),
  });
  expect(rig.arrived).toEqual([]);
  expect(rig.bodies.size).toBe(1);
});

test("a body that is gone, of another size, or with a gap is gone", () => {
  const rig = new Rig();
  for (const seq of [1, 2, 3, 4]) rig.expect(seq, 4);
  rig.take(1, 0, 0);
  rig.take(2, 0, 5, 1, 2, 3, 4, 5);
  rig.take(3, 0, 4, 1);
  rig.take(3, 2, 4, 3, 4);
  rig.take(4, 0, 4, 1, 2, 3, 4, 5);
  expect(rig.gone).toEqual([1, 2, 3, 4]);
  expect(rig.arrived).toEqual([]);
});

test("a body that does not come in time is gone", () => {
  const rig = new Rig({ ageUsMax: 100 });
  rig.expect(1, 4);
  rig.nowUs = 50;
  rig.expect(2, 4);
  rig.nowUs = 100;
  rig.bodies.sweep();
  expect(rig.gone).toEqual([1]);
});

test("bodies past the bounds are gone at once, and leave room when they end", () => {
  const rig = new Rig({ countMax: 3, bytesMax: 10 });
  rig.expect(1, 6);
  expect(rig.bodies.expect("ingress-1", [want(2, 5), want(3, 2), want(4, 1), want(5, 1)])).toEqual([
    want(3, 2),
    want(4, 1),
  ]);
  expect(rig.gone).toEqual([2, 5]);
  rig.take(1, 0, 6, 1, 2, 3, 4, 5, 6);
  rig.expect(6, 7);
  expect(rig.gone).toEqual([2, 5]);
});

test("a body larger than any request may be is never asked for", () => {
  const rig = new Rig();
  rig.expect(1, 65 * 1024 * 1024);
  expect(rig.gone).toEqual([1]);
});
