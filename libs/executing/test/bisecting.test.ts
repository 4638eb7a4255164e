/** A run that fails: who pays for it, and what a lost device leaves behind. */

import { present } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { type Said, WorkerRig, item, modelSpec, said, verdicts } from "./worker-rig.ts";

/** Runs until nothing is left; a run with a poisoned item fails. */
function runAll(rig: WorkerRig, poison: ReadonlySet<number>): { said: Said; runs: number } {
  const effects: Said["effects"][number][] = [];
  let runs = 0;
  for (let busy = true; busy;) {
    runs++;
    const guilty = rig.running.some(({ seq }) => poison.has(seq));
    const step = guilty ? rig.failed("EXECUTION_FAILED", "row is NaN") : rig.ran();
    effects.push(...step.effects);
    busy = step.effects.some(({ type }) => type === "run");
  }
  return { said: said(effects), runs };
}

const seqs = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);

describe("a run that fails", () => {
  test("fails only the guilty item, with the engine's words", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign(
      "digits@1",
      seqs(5).map((seq) => item(seq)),
    );
    const all = runAll(rig, new Set([3])).said;
    expect(new Map(verdicts(all))).toEqual(
      new Map([
        [1, "ok"],
        [2, "ok"],
        [4, "ok"],
        [5, "ok"],
        [3, "INPUT_REJECTED"],
      ]),
    );
    expect(all.answers.find(({ seq }) => seq === 3)?.text).toBe("row is NaN");
    expect(all.dones).toMatchObject([{ outcome: "ran", rows: 1, computeUs: 800 }]);
  });

  test("is halved down to eight items, which run one by one", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign(
      "digits@1",
      seqs(32).map((seq) => item(seq)),
    );
    const { said: all, runs } = runAll(rig, new Set([20]));
    // 32, then 16 and 16, then 8 and 8 of the bad half, then 8 singles.
    expect(runs).toBe(1 + 2 + 2 + 8);
    expect(verdicts(all).filter(([, code]) => code !== "ok")).toEqual([[20, "INPUT_REJECTED"]]);
    expect(all.answers).toHaveLength(32);
    expect(all.dones).toMatchObject([{ rows: 16 }]);
  });

  test("blames the device when no mate runs either", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1), item(2)]);
    const { said: all } = runAll(rig, new Set([1, 2]));
    expect(verdicts(all)).toEqual([
      [1, "EXECUTION_FAILED"],
      [2, "EXECUTION_FAILED"],
    ]);
    expect(all.dones).toMatchObject([{ outcome: "refused", rows: 0 }]);
  });

  test("is the input's fault when an input that ran before runs again after it", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.ran();
    for (const guilty of [[2], [3, 4]]) {
      rig.assign(
        "digits@1",
        guilty.map((seq) => item(seq)),
      );
      const { said: all } = runAll(rig, new Set(guilty));
      expect(verdicts(all)).toEqual(guilty.map((seq) => [seq, "INPUT_REJECTED"]));
    }
  });

  test("is the device's when what ran before does not run either", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.ran();
    rig.assign("digits@1", [item(2)]);
    const { said: all } = runAll(rig, new Set([1, 2]));
    expect(verdicts(all)).toEqual([[2, "EXECUTION_FAILED"]]);
    expect(all.dones).toMatchObject([{ outcome: "refused" }]);
  });

  test("has no witness of other bytes, nor one that is too large", () => {
    const rig = new WorkerRig({ witnessBytesMax: 4 });
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.ran();
    rig.assign("digits@1", [item(2)]);
    expect(verdicts(rig.failed("EXECUTION_FAILED", "bad"))).toEqual([[2, "EXECUTION_FAILED"]]);
  });

  test("keeps the engine's own code when it names the input", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    expect(verdicts(rig.failed("INPUT_REJECTED", "tensor 0 is short"))).toEqual([
      [1, "INPUT_REJECTED"],
    ]);
  });

  test("fails whole where other items would fare no better", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1), item(2)]);
    expect(verdicts(rig.failed("NOT_LOADED", "no session"))).toEqual([
      [1, "NOT_LOADED"],
      [2, "NOT_LOADED"],
    ]);
  });

  test("is split only so often", () => {
    const rig = new WorkerRig({ runsMax: 10 });
    rig.ready(modelSpec("digits", 1_000, 1024));
    rig.assign(
      "digits@1",
      seqs(1024).map((seq) => item(seq)),
    );
    const { said: all, runs } = runAll(rig, new Set(seqs(1024)));
    expect(all.answers).toHaveLength(1024);
    expect(new Set(verdicts(all).map(([, code]) => code))).toEqual(new Set(["EXECUTION_FAILED"]));
    expect(runs).toBeLessThan(25);
  });

  test("leaves out the items whose deadline passes meanwhile", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1), item(2, { remainingUs: 2_000 })]);
    rig.failed("EXECUTION_FAILED", "bad");
    rig.nowUs += 2_000;
    expect(verdicts(rig.ran())).toEqual([
      [1, "ok"],
      [2, "DEADLINE_EXCEEDED"],
    ]);
  });
});

describe("a run that is out of memory", () => {
  test("is run in halves", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign(
      "digits@1",
      seqs(6).map((seq) => item(seq)),
    );
    rig.failed("OUT_OF_MEMORY", "no memory");
    expect(rig.running.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    rig.ran();
    expect(rig.running.map(({ seq }) => seq)).toEqual([4, 5, 6]);
    expect(rig.ran().dones).toMatchObject([{ outcome: "ran", rows: 3 }]);
  });

  test("is OUT_OF_MEMORY for a single item, even when its mates ran", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1), item(2)]);
    rig.failed("OUT_OF_MEMORY", "no memory");
    rig.ran();
    expect(verdicts(rig.failed("OUT_OF_MEMORY", "no memory"))).toEqual([[2, "OUT_OF_MEMORY"]]);
  });
});

test("a part that the engine gives back is tried again, and every item has one answer", () => {
  const rig = new WorkerRig();
  rig.ready(modelSpec("digits"));
  rig.assign("digits@1", [item(1, { tier: 2 }), item(2, { tier: 2 })]);
  rig.failed("EXECUTION_FAILED", "both");
  rig.failed("EXECUTION_FAILED", "1 alone");
  // More urgent work goes first, fails, and what waited behind it is given back.
  rig.assign("digits@1", [item(9, { tier: 0 })]);
  const waits = present(rig.engine.shift(), "the part with 2");
  rig.failed("EXECUTION_FAILED", "9");
  rig.engine.unshift(waits);
  rig.stale(0);
  for (let runs = 0; runs < 8 && rig.engine.length > 0; runs++) {
    const isBad = rig.running.some(({ seq }) => seq === 1);
    if (isBad) rig.failed("EXECUTION_FAILED", "1 again");
    else rig.ran();
  }
  const answers = verdicts(said(rig.effects));
  expect(answers.filter(([seq]) => seq === 1)).toHaveLength(1);
  expect(answers.filter(([seq]) => seq === 2)).toHaveLength(1);
  expect(rig.engine).toEqual([]);
});

describe("a device that is lost", () => {
  test("has everything held answered as retryable, and then ends the process", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1), item(2)]);
    rig.assign("digits@1", [item(3, { remote: true }), item(4)]);
    const { effects, dones } = rig.failed("EXECUTION_FAILED", "CUDA error 700", true);
    expect(verdicts(said(effects))).toEqual([
      [1, "WORKER_LOST"],
      [2, "WORKER_LOST"],
      // They had not begun: no input of theirs is to blame.
      [3, "BATCH_LOST"],
      [4, "BATCH_LOST"],
    ]);
    expect(dones.map(({ outcome }) => outcome)).toEqual(["refused", "refused"]);
    expect(effects.at(-1)).toEqual({
      type: "exit",
      reason: "poisoned",
      detail: "CUDA error 700",
    });
  });

  test("says so before its answers come back as new tickets", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    const { effects } = rig.failed("EXECUTION_FAILED", "CUDA error 700", true);
    expect(effects.map(({ type }) => type)).toEqual(["beat", "answer", "done", "exit"]);
    expect(effects[0]).toMatchObject({ heartbeat: { state: "draining" } });
  });

  test("is refused further work until the process has ended", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.failed("EXECUTION_FAILED", "CUDA error 700", true);
    expect(verdicts(rig.assign("digits@1", [item(2)]))).toEqual([[2, "BATCH_LOST"]]);
    expect(rig.core.wakeAtUs).toBe(Infinity);
  });

  test("answers once what waited for its mates' verdict", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1), item(2)]);
    rig.failed("EXECUTION_FAILED", "bad");
    rig.failed("EXECUTION_FAILED", "bad");
    expect(verdicts(rig.failed("EXECUTION_FAILED", "CUDA error 700", true))).toEqual([
      [1, "WORKER_LOST"],
      [2, "WORKER_LOST"],
    ]);
  });

  test("is lost between two runs as well", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { remote: true })]);
    const lost = rig.tell({ type: "deviceLost", detail: "the engine's thread ended" });
    expect(verdicts(lost)).toEqual([[1, "BATCH_LOST"]]);
    expect(lost.effects.at(-1)).toMatchObject({ type: "exit", reason: "poisoned" });
    expect(rig.tell({ type: "deviceLost", detail: "again" }).effects).toEqual([]);
  });

  test("is noticed when a run does not end", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    const { effects } = rig.pass(120_200_000);
    expect(verdicts(said(effects))).toEqual([[1, "WORKER_LOST"]]);
    expect(effects.at(-1)).toMatchObject({ type: "exit", reason: "poisoned" });
  });
});
