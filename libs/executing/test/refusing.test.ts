/** Assignments that are not taken, and second deliveries. */

import { describe, expect, test } from "vitest";
import { WorkerRig, item, modelSpec, verdicts } from "./worker-rig.ts";

describe("an assignment is refused", () => {
  test("as stale when it was meant for another process of the worker", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    const refused = rig.assign("digits@1", [item(1), item(2)], { incarnation: 6 });
    expect(verdicts(refused)).toEqual([
      [1, "STALE_ASSIGNMENT"],
      [2, "STALE_ASSIGNMENT"],
    ]);
    expect(refused.dones).toMatchObject([
      { outcome: "refused", incarnation: 6, rows: 0, computeUs: 0 },
    ]);
  });

  test("as not loaded when the model is absent, loading or unloading", () => {
    const rig = new WorkerRig();
    expect(verdicts(rig.assign("digits@1", [item(1)]))).toEqual([[1, "NOT_LOADED"]]);
    rig.load(modelSpec("digits"));
    expect(verdicts(rig.assign("digits@1", [item(2)]))).toEqual([[2, "NOT_LOADED"]]);
    rig.loaded("digits@1");
    rig.unload("digits@1");
    expect(verdicts(rig.assign("digits@1", [item(3)]))).toEqual([[3, "NOT_LOADED"]]);
  });

  test("as stale as soon as its latest start has passed, even while another run hangs", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    for (const seq of [1, 2]) rig.assign("digits@1", [item(seq)]);
    rig.assign("digits@1", [item(3)], { startWithinUs: 3_000 });
    expect(verdicts(rig.pass(3_000))).toEqual([]);
    const refused = rig.pass(1);
    expect(verdicts(refused)).toEqual([[3, "STALE_ASSIGNMENT"]]);
    expect(refused.dones).toMatchObject([{ outcome: "refused" }]);
  });

  test("as stale also where the engine has it, and what that says of it later is no news", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.assign("digits@1", [item(2)], { startWithinUs: 3_000 });
    // A little later: the engine may have begun it and not have said so.
    expect(verdicts(rig.pass(5_000))).toEqual([]);
    expect(verdicts(rig.pass(1))).toEqual([[2, "STALE_ASSIGNMENT"]]);
    expect(rig.stale().effects).toEqual([]);
    expect(verdicts(rig.ran())).toEqual([[1, "ok"]]);
  });

  test("as stale when the engine comes to it too late", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.assign("digits@1", [item(2)], { startWithinUs: 3_000 });
    expect(rig.engine.map(({ startByUs }) => startByUs - rig.nowUs)).toEqual([5_000_000, 3_000]);
    expect(verdicts(rig.pass(3_001))).toEqual([]);
    const refused = rig.stale();
    expect(verdicts(refused)).toEqual([[2, "STALE_ASSIGNMENT"]]);
    expect(refused.dones).toMatchObject([{ outcome: "refused" }]);
  });

  test("as stale in part, where only some of its items have to begin so soon", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    for (const seq of [0, 1]) rig.assign("digits@1", [item(seq)]);
    const items = [item(2, { remainingUs: 10_000 }), item(3, { remainingUs: 14_000 })];
    rig.assign("digits@1", items, { startWithinUs: 3_000 });
    expect(verdicts(rig.pass(3_001))).toEqual([[2, "STALE_ASSIGNMENT"]]);
    expect(verdicts(rig.pass(3_999))).toEqual([]);
    rig.ran();
    rig.ran();
    expect(rig.running.map(({ seq }) => seq)).toEqual([3]);
    rig.ran();
    for (const seq of [4, 5]) rig.assign("digits@1", [item(seq)]);
    rig.assign("digits@1", items, { startWithinUs: 3_000 });
    const refused = [...verdicts(rig.pass(3_001)), ...verdicts(rig.pass(4_000))];
    expect(refused).toEqual([
      [2, "STALE_ASSIGNMENT"],
      [3, "STALE_ASSIGNMENT"],
    ]);
  });

  test("but begins exactly at its latest start", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.assign("digits@1", [item(2)], { startWithinUs: 3_000 });
    rig.nowUs += 3_000;
    rig.ran();
    expect(rig.running.map(({ seq }) => seq)).toEqual([2]);
  });

  test("when the worker holds its limit of batches", () => {
    const rig = new WorkerRig({ batchesMax: 2 });
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.assign("digits@1", [item(2)]);
    const refused = rig.assign("digits@1", [item(3)]);
    expect(verdicts(refused)).toEqual([[3, "STALE_ASSIGNMENT"]]);
    expect(refused.answers[0]?.text).toBe("the worker holds its limit of 2 batches");
    rig.ran();
    expect(rig.assign("digits@1", [item(4)]).answers).toEqual([]);
  });

  test("item by item when the worker holds its limit of tensors", () => {
    const rig = new WorkerRig({ bodiesBytesMax: 1_000 });
    rig.ready(modelSpec("digits"));
    const items = [1, 2, 3].map((seq) => item(seq, { remote: true, bodyBytes: 400 }));
    const { effects } = rig.assign("digits@1", items);
    expect(effects).toMatchObject([
      { type: "fetch", wants: [{ seq: 1 }, { seq: 2 }] },
      { type: "answer", frame: { answers: [{ seq: 3, error: "STALE_ASSIGNMENT" }] } },
    ]);
  });
});

describe("a second delivery", () => {
  test("of the same assignment is dropped, while it is held and after it is done", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    const frame = rig.frame("digits@1", [item(1)]);
    rig.tell({ type: "assigned", frame });
    expect(rig.tell({ type: "assigned", frame }).effects).toEqual([]);
    rig.ran();
    expect(rig.tell({ type: "assigned", frame }).effects).toEqual([]);
  });

  test("is told from a scheduler that counts from the start again", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)], { id: 1 });
    rig.ran();
    rig.tell({ type: "schedulerGone", scheduler: "scheduler-1" });
    rig.assign("digits@1", [item(2)], { id: 1 });
    expect(verdicts(rig.ran())).toEqual([[2, "ok"]]);
  });

  test("of a request whose body is awaited is answered once", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { remote: true })]);
    const again = rig.assign("digits@1", [item(1, { remote: true })]);
    expect(again.effects.map(({ type }) => type)).toEqual(["done"]);
  });
});
