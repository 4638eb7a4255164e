/** Batches that run: answers, order on the device, and the model's limit. */

import { describe, expect, test } from "vitest";
import { WorkerRig, item, modelSpec, verdicts } from "./worker-rig.ts";

describe("a batch that runs", () => {
  test("is answered with one frame per ingress, and then done with what it took", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1), item(2, { ingress: "ingress-2" }), item(3)]);
    rig.nowUs += 900;
    const { effects, answers, dones } = rig.ran(800);
    expect(effects.map(({ type }) => type)).toEqual(["answer", "answer", "done"]);
    expect(answers.map(({ ingress, seq, text }) => [ingress, seq, text])).toEqual([
      ["ingress-1", 1, "ingress-1/1"],
      ["ingress-1", 3, "ingress-1/3"],
      ["ingress-2", 2, "ingress-2/2"],
    ]);
    expect(dones).toMatchObject([{ outcome: "ran", rows: 3, computeUs: 800, backlogUs: 0 }]);
  });

  test("counts the wait at the scheduler and here as time in the queue", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.nowUs += 400;
    rig.assign("digits@1", [item(2, { queuedUs: 50 })]);
    rig.nowUs += 600;
    rig.ran();
    rig.nowUs += 70;
    expect(rig.ran(70).answers).toMatchObject([{ queueUs: 650, computeUs: 70, batchRows: 1 }]);
  });

  test("gets its inline bodies as views into the assignment", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    const one = item(1);
    const { effects } = rig.assign("digits@1", [one]);
    const run = effects.find((effect) => effect.type === "run");
    expect(run?.items[0]?.body.buffer).toBe(one.tail.buffer);
  });

  test("is with the engine while the one before it runs", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    for (const seq of [1, 2]) rig.assign("digits@1", [item(seq)]);
    expect(rig.engine.map(({ items }) => items[0]?.item.seq)).toEqual([1, 2]);
    rig.assign("digits@1", [item(3)]);
    expect(rig.engine).toHaveLength(2);
    // The next is handed over before the last is answered.
    expect(rig.ran().effects.map(({ type }) => type)).toEqual(["run", "answer", "done"]);
    expect(rig.engine.map(({ items }) => items[0]?.item.seq)).toEqual([2, 3]);
  });

  test("waits here behind one that takes several runs", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits", 1_000, 1));
    rig.assign("digits@1", [item(1), item(2)]);
    rig.assign("digits@1", [item(3)]);
    expect(rig.engine).toHaveLength(1);
    rig.ran();
    expect(rig.engine.map(({ items }) => items[0]?.item.seq)).toEqual([2, 3]);
  });

  test("is tried again where the engine gave it back", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { tier: 2 }), item(2, { tier: 2 })], { tier: 2 });
    rig.assign("digits@1", [item(3, { tier: 2 })], { tier: 2 });
    // Its mates' pieces go first now, as they came first.
    rig.failed("EXECUTION_FAILED", "bad row");
    const order: number[] = [];
    while (rig.engine.length > 0) {
      order.push(rig.running[0]?.seq ?? -1);
      rig.ran();
    }
    expect(order).toEqual([1, 2, 3]);
  });

  test("is cut to the model's limit, and done once", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits", 1_000, 4));
    rig.assign(
      "digits@1",
      [1, 2, 3, 4].map((seq) => item(seq, { rows: 2 })),
    );
    expect(rig.running.map(({ seq }) => seq)).toEqual([1, 2]);
    expect(rig.ran(500).dones).toEqual([]);
    expect(rig.running.map(({ seq }) => seq)).toEqual([3, 4]);
    expect(rig.ran(400).dones).toMatchObject([{ outcome: "ran", rows: 4, computeUs: 400 }]);
  });

  test("runs one at a time where the model has no batch dimension", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits", 1_000, 0));
    rig.assign("digits@1", [item(1), item(2), item(3, { rows: 2 })]);
    expect(rig.running.map(({ seq }) => seq)).toEqual([1]);
    rig.ran();
    rig.ran();
    const answers = rig.effects.flatMap((effect) =>
      effect.type === "answer" ? effect.frame.answers : [],
    );
    expect(answers.map(({ seq, error }) => [seq, error])).toEqual([
      [3, "BATCH_TOO_LARGE"],
      [1, undefined],
      [2, undefined],
    ]);
  });

  test("leaves out the items whose deadline has passed", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.assign("digits@1", [item(2), item(3, { remainingUs: 1_000 })]);
    rig.nowUs += 1_000;
    expect(verdicts(rig.ran())).toEqual([
      [1, "ok"],
      [3, "DEADLINE_EXCEEDED"],
    ]);
    expect(rig.running.map(({ seq }) => seq)).toEqual([2]);
  });

  test("is not run at all when every deadline has passed", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.assign("digits@1", [item(2, { remainingUs: 10 })]);
    rig.nowUs += 10;
    const after = rig.ran();
    expect(after.effects.some(({ type }) => type === "run")).toBe(false);
    expect(after.dones.map(({ outcome }) => outcome)).toEqual(["ran", "refused"]);
  });

  test("fails with OUTPUT_TOO_LARGE where an output is past the limit of a body", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1), item(2)]);
    const huge = { length: 65 * 1024 * 1024 } as Uint8Array;
    const outputs = [{ body: huge }, { body: new Uint8Array(4) }];
    expect(verdicts(rig.ended({ ok: true, outputs, computeUs: 1 }))).toEqual([
      [1, "OUTPUT_TOO_LARGE"],
      [2, "ok"],
    ]);
  });
});

describe("the device's turn", () => {
  test("goes to realtime first, and in a tier by arrival", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.assign("digits@1", [item(2, { tier: 2 })], { tier: 2 });
    rig.assign("digits@1", [item(3, { tier: 1 })], { tier: 1 });
    rig.assign("digits@1", [item(4, { tier: 0 })], { tier: 0 });
    rig.assign("digits@1", [item(5, { tier: 0 })], { tier: 0 });
    const order: number[] = [];
    for (let left = 5; left > 0; left--) {
      order.push(rig.running[0]?.seq ?? -1);
      rig.ran();
    }
    expect(order).toEqual([1, 4, 5, 3, 2]);
  });

  test("goes to realtime between the pieces of a batch that was split", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { tier: 2 }), item(2, { tier: 2 })], { tier: 2 });
    rig.assign("digits@1", [item(3, { tier: 0 })], { tier: 0 });
    rig.failed("EXECUTION_FAILED", "bad row");
    expect(rig.running.map(({ seq }) => seq)).toEqual([3]);
    rig.ran();
    expect(rig.running.map(({ seq }) => seq)).toEqual([1]);
  });

  test("estimates what is still to do, less what the running batch has used", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)], { expectedUs: 500 });
    rig.assign("digits@1", [item(2)], { expectedUs: 300 });
    rig.nowUs += 200;
    const { dones } = rig.assign("unknown@1", [item(3)]);
    expect(dones).toMatchObject([{ outcome: "refused", backlogUs: 600 }]);
  });
});
