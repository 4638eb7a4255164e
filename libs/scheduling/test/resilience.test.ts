/** What the scheduler makes of workers that are there and yet of no use. */

import { describe, expect, test } from "vitest";
import type { SchedulerEvent } from "../src/index.ts";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const A = "a@1";

describe("a device that holds work and finishes nothing", () => {
  const held = { "scheduler-1": { seen: 1, held: [1] } };
  const models = [ready(A, 100_000)];

  /** Beats of a device that has held the first batch since it was sent. */
  function hearBusy(bench: Bench, us: number, progress: number): void {
    const busy = { inFlight: 1, backlogUs: 100_000, progress };
    for (const endUs = bench.nowUs + us; bench.nowUs < endUs; bench.pass(100_000)) {
      bench.hear({ ...beat("gpu-1", { models, assignments: held }), ...busy });
    }
  }

  test("is given up after a second and four times its backlog, until it finishes something", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models }));
    bench.send(A, ticket(1));
    hearBusy(bench, 1_400_000, 7);
    expect(bench.codes).toEqual([]);
    hearBusy(bench, 200_000, 7);
    expect(bench.codes).toEqual(["WORKER_LOST"]);
    bench.send(A, ticket(2));
    expect(bench.assigned).toHaveLength(1);
    bench.hear({ ...beat("gpu-1", { models }), progress: 8 });
    expect(bench.assigned).toHaveLength(2);
  });

  test("is kept while it finishes one thing after another", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.hear(beat("gpu-1", { models }));
    bench.send(A, ticket(1));
    for (let progress = 1; progress < 6; progress++) hearBusy(bench, 1_000_000, progress);
    expect(bench.codes).toEqual([]);
  });
});

test.each([
  { heard: true, codes: [] },
  { heard: false, codes: ["BATCH_LOST"] },
])("after a stall of the scheduler a worker is heard first: $heard", ({ heard, codes }) => {
  const bench = new Bench();
  bench.know(record("a"));
  const models = [ready(A)];
  bench.hear(beat("gpu-1", { models }));
  bench.send(A, ticket(1));
  bench.pass(50_000);
  bench.nowUs += 640_000;
  bench.step({ type: "woke" });
  expect(bench.codes).toEqual([]);
  const held = { "scheduler-1": { seen: 1, held: [1] } };
  if (heard) bench.hear(beat("gpu-1", { models, assignments: held }));
  bench.pass(100_000);
  expect(bench.codes).toEqual(codes);
});

test("a model waits for a device while one drains, and is not refused for want of it", () => {
  const bench = new Bench();
  bench.know(record("a"));
  bench.hear(beat("gpu-1"));
  bench.hear(beat("gpu-1", { state: "draining" }));
  bench.send(A, ticket(1));
  bench.pass(200_000);
  expect(bench.codes).toEqual([]);
  bench.hear(beat("gpu-2", { models: [ready(A)] }));
  expect(bench.assigned.map(({ worker }) => worker)).toEqual(["gpu-2"]);
});

test("a load that the worker's heartbeats do not show is commanded again", () => {
  const bench = new Bench();
  bench.know(record("a"));
  bench.send(A, ticket(1));
  for (let beats = 0; beats < 3; beats++) {
    bench.hear(beat("gpu-1"));
    bench.pass(100_000);
  }
  expect(bench.commands).toHaveLength(1);
  bench.hear(beat("gpu-1"));
  bench.pass(100_000);
  expect(bench.commands.map(({ command }) => command.kind)).toEqual(["load", "load"]);
});

test("a connection that came back is told at once, and counted", () => {
  const bench = new Bench();
  const breaks = (event: SchedulerEvent): readonly number[] =>
    bench
      .step(event)
      .flatMap((effect) => (effect.type === "beat" ? [effect.heartbeat.breaks] : []));
  bench.step({ type: "woke" });
  bench.nowUs += 1;
  expect(breaks({ type: "woke" })).toEqual([]);
  expect(breaks({ type: "reconnected" })).toEqual([1]);
  bench.nowUs += 1;
  expect(breaks({ type: "reconnected" })).toEqual([2]);
});

test("a worker gets nothing after the connection came back until it is heard again", () => {
  const bench = new Bench();
  const models = [ready(A)];
  bench.know(record("a"));
  bench.hear(beat("gpu-1", { models }));
  bench.step({ type: "reconnected" });
  bench.send(A, ticket(1, { remainingUs: 500_000 }));
  expect(bench.assigned).toEqual([]);
  bench.nowUs += 50_000;
  bench.hear(beat("gpu-1", { models }));
  expect(bench.seqs(bench.assigned[0])).toEqual([1]);
  expect(bench.codes).toEqual([]);
});
