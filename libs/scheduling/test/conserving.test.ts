/** No device idles beside work that it could do, and nothing is kept of work that is gone. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const A = "a@1";
const RUN_US = 1_000;
const SLOW_US = 60_000;

const workersOf = (bench: Bench): readonly string[] => bench.assigned.map(({ worker }) => worker);

describe("an idle device", () => {
  test("takes the hedge of a straggler on another, although that looks free as well", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [ready(A, RUN_US)] }));
    bench.hear(beat("gpu-2", { models: [ready(A, RUN_US)] }));
    bench.send(A, ticket(1, { tier: 0, attempt: 1 }));
    const [first] = workersOf(bench);
    // It should have been done for long, and says nothing.
    bench.pass(40 * RUN_US);
    bench.send(A, ticket(1, { tier: 0, attempt: 2, hedge: true }));
    expect(workersOf(bench)).toEqual([first, first === "gpu-1" ? "gpu-2" : "gpu-1"]);
  });

  test("on a CPU takes the hedge of what hangs on the only accelerator", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [ready(A, RUN_US)] }));
    bench.hear(beat("cpu-1", { device: "cpu", models: [ready(A, 20 * RUN_US)] }));
    bench.send(A, ticket(1, { tier: 0, attempt: 1 }));
    bench.pass(40 * RUN_US);
    bench.send(A, ticket(1, { tier: 0, attempt: 2, hedge: true }));
    expect(workersOf(bench)).toEqual(["gpu-1", "cpu-1"]);
  });

  test("is found behind one of a slower class that cannot make the deadline", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-fast", { models: [ready(A, RUN_US)] }));
    bench.hear(beat("gpu-slow", { device: "webgpu", models: [ready(A, SLOW_US)] }));
    bench.send(A, ticket(1, { remainingUs: SLOW_US / 2 }));
    expect(workersOf(bench)).toEqual(["gpu-fast"]);
    expect(bench.refused).toEqual([]);
  });

  test("comes before one that is late with what it holds", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [ready(A, RUN_US)] }));
    bench.hear(beat("gpu-2", { models: [ready(A, RUN_US)] }));
    bench.send(A, ticket(1));
    const [late] = workersOf(bench);
    bench.pass(40 * RUN_US);
    bench.send(A, ticket(2));
    expect(workersOf(bench)[1]).not.toBe(late);
  });

  test("on a CPU takes what was sent as batch beside realtime work that waits for a GPU", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 1 }));
    bench.hear(beat("gpu-1", { models: [ready(A, RUN_US)] }));
    bench.hear(beat("cpu-1", { device: "cpu", models: [ready(A, SLOW_US)] }));
    for (let seq = 1; seq <= 6; seq++) bench.send(A, ticket(seq, { tier: 0 }));
    bench.send(A, ticket(50, { tier: 2 }));
    const onCpu = bench.assigned.filter(({ worker }) => worker === "cpu-1");
    expect(onCpu.map((effect) => bench.seqs(effect))).toEqual([[50]]);
  });

  test("on a CPU takes what waits for an accelerator that is late", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 1 }));
    const models = [ready(A, 10 * RUN_US)];
    bench.hear(beat("gpu-1", { models }));
    bench.hear(beat("cpu-1", { device: "cpu", models: [ready(A, 150 * RUN_US)] }));
    for (let seq = 1; seq <= 4; seq++) bench.send(A, ticket(seq));
    bench.pass(20 * RUN_US);
    expect(workersOf(bench)).toEqual(["gpu-1", "gpu-1"]);
    for (let beats = 0; beats < 3; beats++) {
      // All the while it is alive, and finishes nothing.
      const held = { "scheduler-1": { seen: 3, held: [1, 2, 3] } };
      bench.hear({
        ...beat("gpu-1", { models, assignments: held }),
        inFlight: 2,
        backlogUs: 1_000,
      });
      bench.pass(100 * RUN_US);
    }
    expect(workersOf(bench)).toContain("cpu-1");
  });

  test("on a CPU refuses nothing that an accelerator makes which is only a little late", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 1 }));
    bench.hear(beat("gpu-1", { models: [ready(A, 10 * RUN_US)] }));
    bench.hear(beat("cpu-1", { device: "cpu", models: [ready(A, 60 * RUN_US)] }));
    bench.send(A, ticket(1));
    bench.send(A, ticket(2));
    bench.pass(55 * RUN_US);
    for (let seq = 3; seq <= 5; seq++) bench.send(A, ticket(seq, { remainingUs: 41 * RUN_US }));
    expect(bench.codes).toEqual([]);
  });

  test("that is due takes the most urgent work, and not what has just come", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 1 }));
    bench.know(record("b", { maxBatch: 1 }));
    bench.hear(beat("gpu-1", { models: [ready(A, 10 * RUN_US), ready("b@1", 10 * RUN_US)] }));
    bench.send(A, ticket(1));
    bench.send(A, ticket(2));
    // Its time has come, and the timer that says so is late.
    bench.nowUs += 9.5 * RUN_US;
    bench.send("b@1", ticket(3, { tier: 2 }));
    expect(bench.assigned.map((effect) => bench.seqs(effect))).toEqual([[1], [2]]);
  });
});

test("times of a class of devices that is gone predict nothing", () => {
  const bench = new Bench({ forgetAfterUs: 1_000_000 });
  bench.know(record("a", { maxBatch: 1 }));
  bench.hear(beat("gpu-1", { models: [ready(A, RUN_US)] }));
  bench.hear(beat("cpu-1", { device: "cpu", models: [ready(A, SLOW_US)] }));
  const stay = (): void =>
    bench.hear(beat("cpu-1", { device: "cpu", models: [ready(A, SLOW_US)] }));
  for (let each = 0; each < 20; each++) {
    bench.pass(100_000);
    stay();
  }
  bench.send(A, ticket(1, { remainingUs: SLOW_US / 2 }));
  // With the GPU that is gone it could be made; it is not kept waiting for that.
  expect(bench.refused).toHaveLength(1);
});

test("a worker that was forgotten and goes on is sent no batch under an old number", () => {
  const bench = new Bench();
  bench.know(record("a"));
  const assignments = { "scheduler-1": { seen: 80, held: [] } };
  bench.hear(beat("gpu-1", { models: [ready(A)], assignments }));
  bench.send(A, ticket(1));
  expect(bench.assigned[0]?.frame.id).toBe(81);
});

describe("nothing is kept (I6)", () => {
  const KIB = 1024;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const bytesOf = (): number => {
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  const tail = (): Uint8Array => new Uint8Array(16 * KIB);

  test("of tickets that no device came for", async () => {
    const bench = new Bench({ noDeviceGraceUs: Infinity });
    bench.know(record("a"));
    const before = bytesOf();
    for (let seq = 0; seq < 4_000; seq++) {
      bench.send(A, ticket(seq, { remainingUs: 50_000, tail: tail() }));
      bench.pass(10_000);
      bench.refused.length = 0;
    }
    await expect.poll(() => bytesOf() - before).toBeLessThan(16 * KIB * KIB);
  });

  test("of cancelled tickets behind one that is more urgent", async () => {
    const bench = new Bench({ noDeviceGraceUs: Infinity });
    bench.know(record("a"));
    bench.send(A, ticket(0, { remainingUs: 9_000_000 }));
    const before = bytesOf();
    for (let seq = 1; seq < 4_000; seq++) {
      bench.send(A, ticket(seq, { remainingUs: 600_000_000, tail: tail() }));
      const frame = { ingress: "ingress-1", model: A, seqs: [seq] };
      bench.step({ type: "cancelled", frame });
    }
    expect(bench.core.figures.queuedTickets).toBe(1);
    await expect.poll(() => bytesOf() - before).toBeLessThan(16 * KIB * KIB);
  });
});
