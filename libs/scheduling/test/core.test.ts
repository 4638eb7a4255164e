/** The scheduler core, one decision at a time. */

import { present } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { SchedulerCore, type SchedulerEvent } from "../src/index.ts";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const A = "a@1";
const MIB = 1024 ** 2;

function withDevice(): Bench {
  const bench = new Bench();
  bench.know(record("a"));
  bench.hear(beat("gpu-1", { models: [ready(A)] }));
  return bench;
}

describe("late binding", () => {
  test("one batch runs, and the next is formed only when the device is about to be free", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [ready(A, 50_000)] }));
    bench.send(A, ticket(1));
    bench.send(A, ticket(2));
    bench.send(A, ticket(3));
    expect(bench.assigned.map((effect) => bench.seqs(effect))).toEqual([[1]]);
    bench.pass(48_000);
    expect(bench.assigned).toHaveLength(1);
    bench.pass(1_500);
    expect(bench.seqs(bench.assigned[1])).toEqual([2, 3]);
  });

  test("a batch that is full already goes a little earlier", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 4 }));
    bench.hear(beat("gpu-1", { models: [ready(A, 50_000)] }));
    bench.send(A, ticket(1));
    for (let seq = 2; seq < 8; seq++) bench.send(A, ticket(seq));
    expect(bench.assigned.map((effect) => bench.seqs(effect))).toEqual([[1]]);
    bench.pass(45_500);
    expect(bench.assigned).toHaveLength(1);
    bench.pass(1_000);
    expect(bench.seqs(bench.assigned[1])).toEqual([2, 3, 4, 5]);
  });

  test("a device has one batch beyond the one that runs at most, or two that are full", () => {
    const bench = withDevice();
    const sizes = (): number[] => bench.assigned.map(({ frame }) => frame.items.length);
    for (let seq = 0; seq < 9; seq++) bench.send(A, ticket(seq));
    expect(sizes()).toEqual([1, 1]);
    for (let seq = 9; seq < 40; seq++) bench.send(A, ticket(seq));
    expect(sizes()).toEqual([1, 1, 8]);
    bench.done(present(bench.assigned[0], "a batch"));
    expect(sizes()).toEqual([1, 1, 8, 8]);
  });

  test("a realtime request that arrives last is in the next batch to go", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 2 }));
    bench.hear(beat("gpu-1", { models: [ready(A)] }));
    for (let seq = 0; seq < 6; seq++) bench.send(A, ticket(seq, { tier: 2 }));
    const before = bench.assigned.length;
    bench.send(A, ticket(99, { tier: 0 }));
    bench.done(present(bench.assigned[0], "a batch"));
    expect(bench.seqs(bench.assigned[before])).toContain(99);
    expect(bench.assigned[before]?.frame.tier).toBe(0);
  });

  test("the most urgent of a device's models goes first", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.know(record("b"));
    bench.hear(beat("gpu-1", { models: [ready(A, 50_000), ready("b@1", 50_000)] }));
    bench.send(A, ticket(1));
    bench.send(A, ticket(2, { remainingUs: 900_000 }));
    bench.send("b@1", ticket(3, { remainingUs: 500_000 }));
    bench.pass(50_000);
    expect(bench.seqs(bench.assigned[1])).toEqual([3]);
  });
});

describe("placement", () => {
  test("realtime goes to the accelerator and batch work to the CPU", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [ready(A)] }));
    bench.hear(beat("cpu-1", { device: "cpu", models: [ready(A, 4_000)] }));
    bench.send(A, ticket(1, { tier: 0 }));
    bench.send(A, ticket(2, { tier: 2 }));
    expect(bench.assigned.map(({ worker }) => worker)).toEqual(["gpu-1", "cpu-1"]);
  });

  test("batch work takes an idle accelerator when the CPU is busy", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 1 }));
    bench.hear(beat("gpu-1", { models: [ready(A, 20_000)] }));
    bench.hear(beat("cpu-1", { device: "cpu", models: [ready(A, 20_000)] }));
    bench.send(A, ticket(1, { tier: 2 }), ticket(2, { tier: 2 }));
    expect(bench.assigned.map(({ worker }) => worker)).toEqual(["cpu-1", "gpu-1"]);
  });

  test("realtime spills to a CPU that would finish sooner, and not to one that would not", () => {
    for (const [cpuUs, expected] of [
      [10_000, "cpu-1"],
      [500_000, undefined],
    ] as const) {
      const bench = new Bench();
      bench.know(record("a", { maxBatch: 1 }));
      bench.hear(beat("gpu-1", { models: [ready(A, 30_000)] }));
      bench.hear(beat("cpu-1", { device: "cpu", models: [ready(A, cpuUs)] }));
      bench.send(A, ticket(1, { tier: 0 }));
      bench.send(A, ticket(2, { tier: 0 }));
      expect(bench.assigned[1]?.worker).toBe(expected);
    }
  });

  test("a hedge goes to another device, and is refused where there is none", () => {
    const bench = withDevice();
    bench.send(A, ticket(1));
    bench.send(A, ticket(1, { attempt: 1, hedge: true }));
    expect(bench.codes).toEqual(["NO_DEVICE"]);
    bench.hear(beat("gpu-2", { models: [ready(A)] }));
    bench.send(A, ticket(1, { attempt: 2, hedge: true }));
    expect(bench.assigned.map(({ worker }) => worker)).toEqual(["gpu-1", "gpu-2"]);
  });
});

describe("refusing", () => {
  test("a ticket that cannot make its deadline is refused when it arrives", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [ready(A, 50_000)] }));
    bench.send(A, ticket(1, { remainingUs: 40_000 }));
    expect(bench.codes).toEqual(["DEADLINE_UNREACHABLE"]);
    bench.send(A, ticket(2, { remainingUs: 60_000 }));
    expect(bench.seqs(bench.assigned[0])).toEqual([2]);
  });

  test("a ticket whose deadline slips out of reach while it waits is refused then", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.send(A, ticket(1, { remainingUs: 400_000 }));
    bench.pass(398_000);
    expect(bench.codes).toEqual([]);
    bench.pass(1_500);
    expect(bench.codes).toEqual(["DEADLINE_UNREACHABLE"]);
  });

  test("the queue has a bound (I6)", () => {
    const bench = new Bench({ queueTicketsMax: 3 });
    bench.know(record("a"));
    for (let seq = 0; seq < 5; seq++) bench.send(A, ticket(seq));
    expect(bench.codes).toEqual(["QUEUE_FULL", "QUEUE_FULL"]);
    expect(bench.core.figures.queuedTickets).toBe(3);
  });

  test("with no worker for a while, requests are refused at once and not held", () => {
    const bench = new Bench({ noDeviceGraceUs: 1_000_000 });
    bench.know(record("a"));
    bench.send(A, ticket(1));
    bench.pass(1_200_000);
    bench.send(A, ticket(2));
    expect(bench.codes).toEqual(["NO_DEVICE", "NO_DEVICE"]);
  });

  test("a model larger than every device is refused with that reason", () => {
    const bench = new Bench();
    bench.know(record("a", { bytes: 2 ** 40 }));
    bench.hear(beat("gpu-1"));
    bench.send(A, ticket(1));
    expect(bench.codes).toEqual(["NO_DEVICE"]);
  });

  test("a cancelled request leaves the queue without a word", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.send(A, ticket(1), ticket(2));
    bench.step({ type: "cancelled", frame: { ingress: "ingress-1", model: A, seqs: [1] } });
    bench.hear(beat("gpu-1", { models: [ready(A)] }));
    expect(bench.seqs(bench.assigned[0])).toEqual([2]);
    expect(bench.codes).toEqual([]);
  });
});

describe("losing a worker", () => {
  test("its requests come back at the broker's word, and nothing new goes there", () => {
    const bench = withDevice();
    bench.send(A, ticket(1));
    bench.step({ type: "disconnected", name: "gpu-1" });
    expect(bench.codes).toEqual(["WORKER_LOST"]);
    bench.send(A, ticket(2));
    expect(bench.assigned).toHaveLength(1);
    bench.hear(beat("gpu-1", { models: [ready(A)] }));
    expect(bench.seqs(bench.assigned[1])).toEqual([2]);
  });

  test("a frozen worker is left after 350 ms of silence", () => {
    const bench = withDevice();
    bench.send(A, ticket(1));
    bench.pass(340_000);
    expect(bench.codes).toEqual([]);
    bench.pass(160_000);
    expect(bench.codes).toEqual(["BATCH_LOST"]);
  });

  test("a restarted worker holds nothing of what was sent to the process before", () => {
    const bench = withDevice();
    bench.send(A, ticket(1));
    bench.hear(beat("gpu-1", { incarnation: 2, models: [ready(A)] }));
    expect(bench.codes).toEqual(["WORKER_LOST"]);
    bench.send(A, ticket(2));
    expect(bench.assigned[1]?.frame).toMatchObject({ incarnation: 2, id: 1 });
  });

  test("a batch that the worker's heartbeats do not know is lost", () => {
    const bench = withDevice();
    bench.send(A, ticket(1));
    bench.send(A, ticket(2));
    const held = { "scheduler-1": { seen: 1, held: [1] } };
    for (let at = 0; at < 4; at++) {
      bench.nowUs += 100_000;
      bench.hear(beat("gpu-1", { models: [ready(A)], assignments: held }));
    }
    expect(bench.refused.flatMap(({ refusals }) => refusals.map(({ seq }) => seq))).toEqual([2]);
  });

  test("a late report of a batch given up changes nothing", () => {
    const bench = withDevice();
    bench.send(A, ticket(1));
    bench.step({ type: "disconnected", name: "gpu-1" });
    bench.done(present(bench.assigned[0], "a batch"));
    expect(bench.codes).toEqual(["WORKER_LOST"]);
  });
});

describe("draining", () => {
  test("what waits goes back, what is out is waited for", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models: [ready(A, 50_000)] }));
    bench.send(A, ticket(1));
    bench.send(A, ticket(2));
    bench.step({ type: "drainBegan" });
    expect(bench.codes).toEqual(["DRAINING"]);
    expect(bench.core.drained).toBe(false);
    bench.send(A, ticket(3));
    expect(bench.codes).toEqual(["DRAINING", "DRAINING"]);
    bench.done(present(bench.assigned[0], "a batch"));
    expect(bench.core.drained).toBe(true);
  });
});

describe("residency", () => {
  test("a known model is loaded on an accelerator and a CPU where there is room", () => {
    const bench = new Bench();
    bench.hear(beat("gpu-1"));
    bench.hear(beat("cpu-1", { device: "cpu" }));
    bench.know(record("a"));
    bench.pass(10_000);
    expect(bench.commands.map(({ worker, command }) => [worker, command.kind])).toEqual([
      ["gpu-1", "load"],
      ["cpu-1", "load"],
    ]);
    bench.pass(100_000);
    expect(bench.commands).toHaveLength(2);
  });

  test("nothing is unloaded, or loaded, before the registry was read", () => {
    const core = new SchedulerCore({ id: "scheduler-1", incarnation: 1 });
    const step = (event: SchedulerEvent) =>
      core.step(event, 1_000_000).filter(({ type }) => type === "command");
    expect(
      step({ type: "workerBeat", heartbeat: beat("gpu", { models: [ready("m@1")] }) }),
    ).toEqual([]);
    expect(step({ type: "modelChanged", record: record("m") })).toEqual([]);
    expect(step({ type: "modelChanged", record: record("n") })).toEqual([]);
    expect(step({ type: "registryRead" })).toMatchObject([
      { worker: "gpu", command: { kind: "load", spec: { name: "n" } } },
    ]);
  });

  test("a model that needs more than was known waits until others have made way for it", () => {
    const bench = new Bench();
    const totalBytes = 4 * MIB;
    const others = ["b@1", "c@1", "d@1"].map((ref) => ready(ref));
    for (const name of ["a", "b", "c", "d"]) bench.know(record(name));
    bench.hear(beat("gpu-1", { models: others, freeBytes: 1.5 * MIB, totalBytes }));
    bench.pass(300_000);
    bench.send(A, ticket(1));
    const error = { code: "OUT_OF_MEMORY", message: "no room" };
    const failed = { ref: A, state: "failed", bytes: 3 * MIB, error } as const;
    const full = { models: [...others, failed], revision: 2, freeBytes: 1.5 * MIB, totalBytes };
    const given = (): ReadonlySet<string> =>
      new Set(bench.commands.splice(0).map(({ command }) => command.kind));
    expect(given()).toEqual(new Set(["load"]));
    bench.hear(beat("gpu-1", full));
    bench.pass(300_000);
    expect(given()).toEqual(new Set(["unload"]));
    const roomy = { models: [...others.slice(2), failed], revision: 3, freeBytes: 3.5 * MIB };
    bench.hear(beat("gpu-1", { ...roomy, totalBytes }));
    bench.pass(10_000);
    expect(given()).toEqual(new Set(["load"]));
    expect(bench.codes).toEqual([]);
  });

  test("a worker that joins gets what keeps the others busy, before anything waits for it", () => {
    const bench = new Bench({ suspectAfterUs: 60_000_000, forgetAfterUs: 90_000_000 });
    bench.know(record("a"));
    // Rows of 5 ms in batches of eight.
    const models = [ready("a@1", 20_000)];
    for (const id of ["gpu-1", "gpu-2"]) bench.hear(beat(id, { models }));
    const serve = (rows: number, gapUs: number): void => {
      for (let seq = 0; seq < rows; seq++) {
        bench.send("a@1", ticket(seq));
        bench.done(present(bench.assigned.at(-1), "a batch"), 5_000);
        bench.pass(gapUs);
      }
    };
    serve(220, 5_000);
    bench.hear(beat("gpu-3"));
    bench.pass(50_000);
    expect(bench.commands).toEqual([]);
    serve(600, 3_500);
    expect(bench.commands.map(({ worker, why }) => [worker, why])).toContainEqual([
      "gpu-3",
      "busy",
    ]);
  });

  test("another scheduler in charge is told what waits, and this one gives no commands", () => {
    const ids = ["scheduler-1", "scheduler-2"] as const;
    const commands = ids.map((id, at) => {
      const bench = new Bench({ id });
      const other = {
        v: 1 as const,
        id: present(ids[1 - at], "the other"),
        incarnation: 1,
        beat: 0,
        state: "ready" as const,
        breaks: 0,
        loads: [],
      };
      bench.step({ type: "schedulerBeat", heartbeat: other });
      bench.hear(beat("gpu-1"));
      bench.know(record("a"));
      bench.pass(10_000);
      return bench.commands.length;
    });
    expect(commands.toSorted((a, b) => a - b)).toEqual([0, 1]);
  });
});
