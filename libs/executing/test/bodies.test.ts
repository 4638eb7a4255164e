/** Bodies that stayed at their ingress: asked for early, waited for with a limit. */

import { describe, expect, test } from "vitest";
import { WorkerRig, bodyFor, item, modelSpec, verdicts } from "./worker-rig.ts";

const arrived = (rig: WorkerRig, seq: number, ingress = "ingress-1") =>
  rig.tell({ type: "bodyArrived", ingress, seq, attempt: 0, body: bodyFor(ingress, seq) });

describe("bodies that stayed at their ingress", () => {
  test("are asked for at once, while another batch runs, with one fetch per ingress", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    const { effects } = rig.assign("digits@1", [
      item(2, { remote: true }),
      item(3, { remote: true, ingress: "ingress-2" }),
      item(4, { remote: true, bodyBytes: 99 }),
      item(5),
    ]);
    expect(effects).toEqual([
      {
        type: "fetch",
        ingress: "ingress-1",
        wants: [
          { seq: 2, attempt: 0, bytes: 11 },
          { seq: 4, attempt: 0, bytes: 99 },
        ],
      },
      { type: "fetch", ingress: "ingress-2", wants: [{ seq: 3, attempt: 0, bytes: 11 }] },
    ]);
  });

  test("do not hold up a batch that is complete", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { remote: true }), item(2)], { tier: 0 });
    rig.assign("digits@1", [item(3)], { tier: 2 });
    expect(rig.running.map(({ seq }) => seq)).toEqual([3]);
    arrived(rig, 1);
    expect(verdicts(rig.ran())).toEqual([[3, "ok"]]);
    expect(rig.ran().answers.map(({ text }) => text)).toEqual(["ingress-1/1", "ingress-1/2"]);
  });

  test("start the batch when the last of them comes", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { remote: true }), item(2, { remote: true })]);
    expect(arrived(rig, 2).effects).toEqual([]);
    expect(arrived(rig, 1).effects.map(({ type }) => type)).toEqual(["run"]);
    expect(rig.ran().answers.map(({ text }) => text)).toEqual(["ingress-1/1", "ingress-1/2"]);
  });

  test("that are gone fail alone", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { remote: true }), item(2)]);
    const gone = rig.tell({ type: "bodyGone", ingress: "ingress-1", seq: 1, attempt: 0 });
    expect(verdicts(gone)).toEqual([[1, "BODY_GONE"]]);
    expect(rig.running.map(({ seq }) => seq)).toEqual([2]);
  });

  test("that do not come in two seconds fail alone", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { remote: true }), item(2)]);
    expect(verdicts(rig.pass(1_999_999))).toEqual([]);
    expect(verdicts(rig.pass(1))).toEqual([[1, "BODY_GONE"]]);
    expect(verdicts(rig.ran())).toEqual([[2, "ok"]]);
  });

  test("are given up early enough for their mates to start in time", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { remote: true }), item(2)], { startWithinUs: 40_000 });
    expect(verdicts(rig.pass(30_000))).toEqual([[1, "BODY_GONE"]]);
    expect(rig.running.map(({ seq }) => seq)).toEqual([2]);
  });

  test("that come too late, or unasked, change nothing", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1, { remote: true })]);
    const late = rig.pass(2_000_000);
    expect(late.dones).toMatchObject([{ outcome: "refused" }]);
    expect(arrived(rig, 1).effects).toEqual([]);
    expect(arrived(rig, 77).effects).toEqual([]);
    expect(
      rig.tell({ type: "bodyGone", ingress: "ingress-1", seq: 1, attempt: 0 }).effects,
    ).toEqual([]);
  });
});
