/** Copies whose runs fail: what is sent where, and what is loaded. */

import type { Resident } from "@millrace/protocol";
import { present } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const A = "a@1";
const MIB = 1024 ** 2;
const failing = (ref: string): Resident => ({ ...ready(ref), failing: true });

/** Beats of both that change nothing, as time passes. */
function pass(bench: Bench, us: number, ids: readonly string[]): void {
  for (const endUs = bench.nowUs + us; bench.nowUs < endUs; bench.pass(100_000)) {
    for (const id of ids) {
      const { models: _, ...heartbeat } = beat(id, { revision: id === "gpu-1" ? 2 : 1 });
      bench.hear(heartbeat);
    }
  }
}

/** Sends one ticket, which runs at once; the device that had it. */
function workerOf(bench: Bench, seq: number): string | undefined {
  const before = bench.assigned.length;
  bench.send(A, ticket(seq));
  if (bench.assigned.length === before) return undefined;
  const assigned = present(bench.assigned.at(-1), "a batch");
  bench.done(assigned);
  return assigned.worker;
}

function withTwo(): Bench {
  const bench = new Bench();
  bench.know(record("a"));
  bench.hear(beat("gpu-2", { models: [ready(A)] }));
  bench.hear(beat("gpu-1", { models: [ready(A)] }));
  return bench;
}

describe("a copy whose runs fail", () => {
  test("has no work while another is well, but for a ticket a second to see", () => {
    const bench = withTwo();
    expect(workerOf(bench, 1)).toBe("gpu-1");
    bench.hear(beat("gpu-1", { models: [failing(A)], revision: 2 }));
    for (let seq = 2; seq < 6; seq++) expect(workerOf(bench, seq)).toBe("gpu-2");
    pass(bench, 1_100_000, ["gpu-2", "gpu-1"]);
    bench.send(A, ticket(10), ticket(11), ticket(12), ticket(13));
    const tried = bench.assigned.filter(({ worker }) => worker === "gpu-1");
    expect(tried.map((assigned) => bench.seqs(assigned).length)).toEqual([1, 1]);
    for (const assigned of bench.assigned.slice(-2)) bench.done(assigned);
    expect(workerOf(bench, 20)).toBe("gpu-2");
    bench.hear(beat("gpu-1", { models: [ready(A)], revision: 3 }));
    expect(workerOf(bench, 21)).toBe("gpu-1");
  });

  test("has all the work where no other is well, and none again when one is", () => {
    const bench = withTwo();
    bench.hear(beat("gpu-1", { models: [failing(A)], revision: 2 }));
    expect(workerOf(bench, 1)).toBe("gpu-2");
    bench.step({ type: "disconnected", name: "gpu-2" });
    expect(workerOf(bench, 2)).toBe("gpu-1");
    bench.hear(beat("gpu-2", { models: [ready(A)], incarnation: 2 }));
    expect([workerOf(bench, 3), workerOf(bench, 4)]).toEqual(["gpu-2", "gpu-2"]);
    bench.hear(beat("gpu-2", { models: [failing(A)], incarnation: 2, revision: 2 }));
    expect(workerOf(bench, 5)).toBeDefined();
  });

  test("that waits for another to be free is not sent what waits", () => {
    const bench = withTwo();
    bench.hear(beat("gpu-1", { models: [failing(A)], revision: 2 }));
    for (let seq = 1; seq < 9; seq++) bench.send(A, ticket(seq));
    expect(new Set(bench.assigned.map(({ worker }) => worker))).toEqual(new Set(["gpu-2"]));
    bench.step({ type: "disconnected", name: "gpu-2" });
    expect(bench.assigned.at(-1)?.worker).toBe("gpu-1");
  });
});

describe("the only copy fails", () => {
  test("and what is asked for waits while another is loaded, but for a try a second", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [failing(A)] }));
    const loading: Resident = { ref: A, state: "loading", bytes: MIB };
    bench.hear(beat("gpu-2", { models: [loading] }));
    bench.hear(beat("gpu-1", { models: [failing(A)] }));
    for (let seq = 1; seq < 5; seq++) bench.send(A, ticket(seq));
    expect(bench.assigned).toEqual([]);
    pass(bench, 1_100_000, ["gpu-2", "gpu-1"]);
    expect(bench.assigned.map(({ worker }) => worker)).toEqual(["gpu-1"]);
    expect(bench.seqs(bench.assigned[0])).toEqual([1, 2, 3, 4]);
    for (let seq = 5; seq < 9; seq++) bench.send(A, ticket(seq));
    bench.hear(beat("gpu-2", { models: [ready(A)], revision: 2 }));
    expect(bench.assigned[1]).toMatchObject({ worker: "gpu-2" });
    expect(bench.seqs(bench.assigned[1])).toEqual([5, 6, 7, 8]);
    expect(bench.codes).toEqual([]);
  });

  test("and goes on where some of its batches run", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [failing(A)] }));
    expect(workerOf(bench, 1)).toBe("gpu-1");
    bench.hear(beat("gpu-2", { models: [{ ref: A, state: "loading", bytes: MIB }] }));
    bench.hear(beat("gpu-1", { models: [failing(A)] }));
    expect(workerOf(bench, 2)).toBe("gpu-1");
  });

  test("and has what is asked for again where the load of another fails", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [failing(A)] }));
    bench.hear(beat("gpu-2", { models: [{ ref: A, state: "loading", bytes: MIB }] }));
    bench.send(A, ticket(1));
    expect(bench.assigned).toEqual([]);
    bench.hear(beat("gpu-2", { models: [{ ref: A, state: "failed", bytes: 0 }], revision: 2 }));
    expect(bench.assigned).toMatchObject([{ worker: "gpu-1" }]);
  });

  test("so another is loaded, and others make way for it while somebody asks", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.know(record("b"));
    const totalBytes = 1.5 * MIB;
    bench.hear(beat("gpu-1", { models: [ready(A)], totalBytes, freeBytes: MIB / 2 }));
    bench.hear(beat("gpu-2", { models: [ready("b@1")], totalBytes, freeBytes: MIB / 2 }));
    bench.pass(310_000);
    expect(bench.commands).toEqual([]);
    bench.send(A, ticket(1));
    bench.hear(
      beat("gpu-1", { models: [failing(A)], revision: 2, totalBytes, freeBytes: MIB / 2 }),
    );
    bench.pass(10_000);
    expect(bench.commands).toMatchObject([
      { worker: "gpu-2", command: { kind: "unload", ref: "b@1" } },
    ]);
    bench.hear(beat("gpu-2", { revision: 2, totalBytes, freeBytes: 1.5 * MIB }));
    bench.pass(10_000);
    expect(bench.commands.at(-1)).toMatchObject({
      worker: "gpu-2",
      command: { kind: "load", spec: { name: "a" } },
    });
    bench.hear(beat("gpu-2", { models: [ready(A)], revision: 3, totalBytes, freeBytes: MIB / 2 }));
    expect(workerOf(bench, 2)).toBe("gpu-2");
  });
});
