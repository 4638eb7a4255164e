/** What the worker says of itself, when, and how it leaves. */

import { describe, expect, test } from "vitest";
import { checkValue, type WorkerHeartbeat, workerHeartbeatSchema } from "@millrace/protocol";
import { WorkerRig, item, modelSpec, said, verdicts } from "./worker-rig.ts";

const listed = (beats: readonly WorkerHeartbeat[]): number[] =>
  beats.filter(({ models }) => models !== undefined).map(({ beat }) => beat);

describe("heartbeats", () => {
  test("come each 100 ms from the first step on, and are what the protocol says", () => {
    const rig = new WorkerRig();
    const { beats } = rig.pass(1_000_000);
    expect(beats.map(({ beat }) => beat)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (const beat of beats) expect(checkValue(workerHeartbeatSchema, beat).ok).toBe(true);
  });

  test("carry the models for a while after a change, and each tenth time", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    const { beats } = rig.pass(2_000_000);
    expect(listed(beats)).toEqual([2, 3, 4, 5, 10, 20]);
    expect(new Set(beats.map(({ modelsRevision }) => modelsRevision))).toEqual(new Set([2]));
  });

  test("carry the models at once and for a while when the audience has changed", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.pass(1_000_000);
    expect(listed(rig.tell({ type: "audienceChanged" }).beats)).toEqual([12]);
    expect(listed(rig.pass(900_000).beats)).toEqual([13, 14, 15, 16, 20]);
  });

  test("are one for everything that changed in a step", () => {
    const rig = new WorkerRig({}, 10);
    rig.load(modelSpec("one"));
    const { beats } = rig.load(modelSpec("two"));
    expect(beats).toHaveLength(1);
    expect(beats[0]?.modelsRevision).toBe(4);
  });

  test("say what is held, what was seen, and what is left to do", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)], { id: 4 });
    rig.assign("digits@1", [item(2)], { id: 5 });
    rig.assign("digits@1", [item(3)], { id: 9, scheduler: "scheduler-2" });
    rig.ran();
    const beat = rig.pass(100_000).beats[0];
    expect(beat).toMatchObject({
      state: "ready",
      inFlight: 2,
      // The load, and one run.
      progress: 2,
      assignments: {
        "scheduler-1": { seen: 5, held: [5] },
        "scheduler-2": { seen: 9, held: [9] },
      },
    });
    expect(beat?.backlogUs).toBeLessThanOrEqual(2_000);
  });

  test("show no progress for what is loaded beside a run that does not end", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    const before = rig.pass(100_000).beats[0]?.progress;
    rig.ready(modelSpec("other"));
    expect(rig.pass(100_000).beats[0]).toMatchObject({ inFlight: 1, progress: before });
    rig.ran();
    expect(rig.pass(100_000).beats[0]).toMatchObject({ inFlight: 0, progress: (before ?? 0) + 1 });
  });

  test("leave out a scheduler that is gone, once nothing is held for it", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.tell({ type: "schedulerGone", scheduler: "scheduler-1" });
    expect(rig.pass(100_000).beats[0]?.assignments).toEqual({
      "scheduler-1": { seen: 1, held: [1] },
    });
    rig.ran();
    expect(rig.pass(100_000).beats[0]?.assignments).toEqual({});
  });

  test("leave out who was silent for a minute, and the most silent of too many", () => {
    const rig = new WorkerRig({ schedulersMax: 2 });
    for (const scheduler of ["scheduler-1", "scheduler-2", "scheduler-3"]) {
      rig.nowUs += 10;
      rig.assign("digits@1", [item(1)], { scheduler });
    }
    const beat = rig.pass(200_000).beats[0];
    expect(Object.keys(beat?.assignments ?? {})).toEqual(["scheduler-2", "scheduler-3"]);
    expect(rig.pass(61_000_000).beats.at(-1)?.assignments).toEqual({});
  });
});

describe("draining", () => {
  test("is said at once, finishes what is held, refuses the rest, and then exits", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.assign("digits@1", [item(2)]);
    expect(rig.tell({ type: "drainBegan" }).beats).toMatchObject([{ state: "draining" }]);
    expect(verdicts(rig.assign("digits@1", [item(3)]))).toEqual([[3, "DRAINING"]]);
    expect(rig.ran().effects.some(({ type }) => type === "exit")).toBe(false);
    expect(rig.ran().effects.map(({ type }) => type)).toEqual(["answer", "done"]);
    expect(rig.pass(200_000).effects.at(-1)).toMatchObject({ type: "exit", reason: "drained" });
    expect(verdicts(rig.assign("digits@1", [item(4)]))).toEqual([[4, "DRAINING"]]);
    expect(rig.core.wakeAtUs).toBe(Infinity);
  });

  test("lasts long enough to refuse what was sent before the schedulers knew", () => {
    const rig = new WorkerRig();
    rig.tell({ type: "drainBegan" });
    expect(said(rig.pass(199_999).effects).beats.map(({ state }) => state)).toEqual(["draining"]);
    expect(rig.pass(1).effects.map(({ type }) => type)).toEqual(["beat", "exit"]);
  });

  test("gives back what is still held at its deadline", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    const long = { remainingUs: 60_000_000 };
    rig.assign("digits@1", [item(1, long), item(2, long)], { startWithinUs: 60_000_000 });
    rig.assign("digits@1", [item(3, long)], { startWithinUs: 60_000_000 });
    rig.tell({ type: "drainBegan" });
    const ended = rig.pass(25_000_000);
    expect(verdicts(ended)).toEqual([1, 2, 3].map((seq) => [seq, "DRAINING"]));
    expect(ended.dones).toHaveLength(2);
    expect(ended.effects.at(-1)).toMatchObject({ type: "exit", reason: "drained" });
    expect(rig.ran().effects).toEqual([]);
  });

  test("ends before a kill that was announced, and only ever earlier", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)], { startWithinUs: 60_000_000 });
    const byUs = rig.nowUs + 3_000_000;
    rig.tell({ type: "drainBegan", byUs });
    rig.tell({ type: "drainBegan" });
    rig.tell({ type: "drainBegan", byUs: byUs + 1 });
    expect(rig.pass(2_999_999).effects.some(({ type }) => type === "exit")).toBe(false);
    const ended = rig.pass(1);
    expect(verdicts(ended)).toEqual([[1, "DRAINING"]]);
    expect(ended.effects.at(-1)).toMatchObject({ type: "exit", reason: "drained" });
  });

  test("begins no load any more", () => {
    const rig = new WorkerRig();
    rig.load(modelSpec("one"));
    rig.load(modelSpec("two"));
    rig.tell({ type: "drainBegan" });
    expect(rig.loaded("one@1").effects.map(({ type }) => type)).toEqual(["beat"]);
  });
});
