/** Finding a device: preference, late binding, and that an idle one is always found. */

import { present } from "@millrace/std";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DeviceClass, WorkerHeartbeat } from "@millrace/protocol";
import { DevicePool, DeviceState } from "../src/index.ts";

const options = { outstandingMax: 2, leadUs: 1_000 };
const always = (): boolean => true;
const never = (): boolean => false;

function device(id: string, deviceClass: DeviceClass = "cuda"): DeviceState<string> {
  const beat: WorkerHeartbeat = {
    v: 1,
    id,
    role: deviceClass === "cpu" ? "cpu-worker" : "gpu-worker",
    incarnation: 1,
    beat: 0,
    state: "ready",
    device: {
      class: deviceClass,
      name: id,
      memoryTotalBytes: 1,
      memoryFreeBytes: 1,
      memorySource: "budget",
    },
    progress: 0,
    inFlight: 0,
    backlogUs: 0,
    assignments: {},
    modelsRevision: 0,
  };
  return new DeviceState<string>(beat);
}

function poolOf(...devices: readonly DeviceState<string>[]): DevicePool<string> {
  const pool = new DevicePool<string>(options);
  for (const one of devices) {
    pool.add(one);
    pool.setReady(one, new Set(["a", "b"]));
    pool.idle(one);
  }
  return pool;
}

describe("placement", () => {
  test("realtime prefers the accelerator, batch the CPU, each spills when allowed", () => {
    const gpu = device("gpu");
    const cpu = device("cpu", "cpu");
    const pool = poolOf(gpu, cpu);
    expect(pool.pick("a", 0, 0, always)).toBe(gpu);
    expect(pool.pick("a", 2, 0, always)).toBe(cpu);
    gpu.freeAtUs = 50_000;
    expect(pool.pick("a", 0, 0, never)).toBeUndefined();
    expect(pool.pick("a", 0, 0, always)).toBe(cpu);
  });

  test("a device takes its next batch one lead before it is free, and one at most", () => {
    const gpu = device("gpu");
    const pool = poolOf(gpu);
    gpu.sent("first", 1, 10_000, 0);
    expect(pool.takes(gpu, 8_999)).toBe(false);
    expect(pool.takesAtUs(gpu)).toBe(9_000);
    expect(pool.takes(gpu, 9_000)).toBe(true);
    gpu.sent("second", 1, 10, 9_000);
    expect(pool.takes(gpu, 9_999)).toBe(false);
    expect(pool.takesAtUs(gpu)).toBe(Infinity);
  });

  test("a backlog that the device reports counts what it has not seen on top", () => {
    const gpu = device("gpu");
    gpu.sent("seen", 1, 5_000, 0);
    gpu.sent("unseen", 1, 7_000, 0);
    gpu.backlogHeard(4_000, 1, 1_000);
    expect(gpu.freeAtUs).toBe(1_000 + 4_000 + 7_000);
  });

  test("an idle device that holds the model is always found, whatever happened before", () => {
    const command = fc.record({
      at: fc.nat(3),
      kind: fc.constantFrom("busy", "free", "idle", "unload", "load", "gone", "back"),
      pick: fc.constantFrom("a", "b"),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 100 }), (commands) => {
        const devices = [device("d0"), device("d1"), device("d2"), device("d3", "cpu")];
        const pool = poolOf(...devices);
        for (const { at, kind, pick } of commands) {
          const one = present(devices[at], "the device");
          if (kind === "busy") one.freeAtUs = 1e9;
          if (kind === "free") one.freeAtUs = 0;
          if (kind === "gone") one.available = false;
          if (kind === "back") one.available = true;
          if (kind === "unload") pool.setReady(one, new Set(["b"]));
          if (kind === "load") pool.setReady(one, new Set(["a", "b"]));
          // The scheduler offers a device whenever it looked for work and found none.
          if (pool.takes(one, 0)) pool.idle(one);
          const idle = devices.filter((other) => other.ready.has(pick) && pool.takes(other, 0));
          const found = pool.pick(pick, 0, 0, always);
          if (idle.length === 0) expect(found).toBeUndefined();
          else expect(idle).toContain(found);
        }
      }),
    );
  });
});
