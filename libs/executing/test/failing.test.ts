/** A device that runs nothing of a model says so, and takes it back when it runs again. */

import { describe, expect, test } from "vitest";
import { device, item, MIB, modelSpec, WorkerRig } from "./worker-rig.ts";

const MODEL = "digits@1";

/** Whether the last list of models says of the model that it fails. */
function isSaid(rig: WorkerRig): boolean {
  const beat = rig.effects.findLast(
    (effect) => effect.type === "beat" && effect.heartbeat.models !== undefined,
  );
  if (beat?.type !== "beat") return false;
  return beat.heartbeat.models?.find(({ ref }) => ref === MODEL)?.failing === true;
}

function withModel(): WorkerRig {
  const rig = new WorkerRig();
  rig.ready(modelSpec("digits"));
  return rig;
}

let seq = 0;

/** A batch of one that ends so. */
function run(rig: WorkerRig, how: "ran" | "OUT_OF_MEMORY" | "EXECUTION_FAILED"): void {
  rig.assign(MODEL, [item(++seq)]);
  if (how === "ran") rig.ran();
  else rig.failed(how, "no");
}

describe("a model whose batches run nothing", () => {
  test("is said to fail after the second in a row, at once", () => {
    const rig = withModel();
    run(rig, "OUT_OF_MEMORY");
    expect(isSaid(rig)).toBe(false);
    rig.assign(MODEL, [item(++seq)]);
    expect(rig.failed("OUT_OF_MEMORY", "no").beats[0]?.models).toMatchObject([
      { ref: MODEL, state: "ready", failing: true },
    ]);
  });

  test("is said to fail after its first, on a device that runs nothing of others either", () => {
    const rig = withModel();
    rig.ready(modelSpec("other"));
    rig.assign("other@1", [item(++seq)]);
    rig.failed("OUT_OF_MEMORY", "no");
    run(rig, "OUT_OF_MEMORY");
    expect(isSaid(rig)).toBe(true);
    rig.assign("other@1", [item(++seq)]);
    rig.ran();
    expect(isSaid(rig)).toBe(true);
  });

  test("is not said to fail while some of it runs", () => {
    const rig = withModel();
    for (let at = 0; at < 6; at++) run(rig, at % 2 === 1 ? "ran" : "OUT_OF_MEMORY");
    expect(isSaid(rig)).toBe(false);
    for (let at = 0; at < 4; at++) {
      // Two do not fit, and one by one they do.
      rig.assign(MODEL, [item(++seq), item(++seq)]);
      rig.failed("OUT_OF_MEMORY", "no");
      rig.ran();
      rig.ran();
    }
    expect(isSaid(rig)).toBe(false);
  });

  test("is taken back when a batch runs, after a while without a failure", () => {
    const rig = withModel();
    for (let at = 0; at < 2; at++) run(rig, "OUT_OF_MEMORY");
    run(rig, "ran");
    expect(isSaid(rig)).toBe(true);
    rig.pass(600_000);
    expect(isSaid(rig)).toBe(true);
    run(rig, "ran");
    expect(isSaid(rig)).toBe(false);
    run(rig, "OUT_OF_MEMORY");
    expect(isSaid(rig)).toBe(false);
  });

  test("fails by the device's fault only if an input fails that is known to run", () => {
    const rig = withModel();
    for (let at = 0; at < 5; at++) run(rig, "EXECUTION_FAILED");
    expect(isSaid(rig)).toBe(false);
    run(rig, "ran");
    for (let at = 0; at < 5; at++) {
      run(rig, "EXECUTION_FAILED");
      rig.ran();
    }
    expect(isSaid(rig)).toBe(false);
    for (let at = 0; at < 3; at++) {
      run(rig, "EXECUTION_FAILED");
      rig.failed("EXECUTION_FAILED", "no");
    }
    expect(isSaid(rig)).toBe(true);
  });

  test("is another copy once it was loaded again", () => {
    const rig = withModel();
    for (let at = 0; at < 2; at++) run(rig, "OUT_OF_MEMORY");
    rig.unload(MODEL);
    rig.tell({ type: "unloadEnded", ref: MODEL, device: device(100 * MIB) });
    rig.ready(modelSpec("digits"));
    expect(isSaid(rig)).toBe(false);
  });
});
