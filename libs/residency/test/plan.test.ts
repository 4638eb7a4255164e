/** The residency plan: what is loaded where, what makes room, and that everything fits. */

import { present } from "@millrace/std";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type DeviceView,
  isShortOfRoom,
  type ModelView,
  planResidency,
  RESIDENCY_DEFAULTS,
  type ResidentView,
} from "../src/index.ts";

const device = (
  id: string,
  freeBytes: number,
  residents: readonly ResidentView[] = [],
  options: Partial<DeviceView> = {},
): DeviceView => ({ id, accelerator: true, totalBytes: 100, freeBytes, residents, ...options });

const model = (ref: string, options: Partial<ModelView> = {}): ModelView => ({
  ref,
  bytes: 20,
  wanted: true,
  keep: false,
  queuedRows: 0,
  missed: false,
  waitUs: 0,
  rowsPerSecond: 0,
  busyDevices: 0,
  lastUsedUs: 0,
  ...options,
});

const held = (ref: string, options: Partial<ResidentView> = {}): ResidentView => ({
  ref,
  state: "ready",
  bytes: 20,
  busy: false,
  stale: false,
  failing: false,
  ...options,
});

const NAMES = "abcdefgh".split("");

const plan = (devices: readonly DeviceView[], models: readonly ModelView[], nowUs = 10_000_000) =>
  planResidency(
    { devices, models: new Map(models.map((one) => [one.ref, one])) },
    () => 0,
    nowUs,
  ).map(({ type, device: at, ref }) => `${type} ${ref} ${at}`);

describe("residency plan", () => {
  test("the first copy goes to an accelerator and the spare to a CPU", () => {
    const devices = [device("cpu", 100, [], { accelerator: false }), device("gpu", 100)];
    expect(plan(devices, [model("a")])).toEqual(["load a gpu"]);
    const loaded = [device("cpu", 100, [], { accelerator: false }), device("gpu", 80, [held("a")])];
    expect(plan(loaded, [model("a")])).toEqual(["load a cpu"]);
  });

  test("more copies go to accelerators", () => {
    const devices = [
      device("cpu", 80, [held("a")], { accelerator: false }),
      device("spare-cpu", 100, [], { accelerator: false }),
      device("gpu", 80, [held("a")]),
      device("full-gpu", 20, [held("b"), held("c"), held("d"), held("e")]),
    ];
    const rest = ["b", "c", "d", "e"].map((ref) => model(ref));
    const busy = model("a", { busyDevices: 1.9, rowsPerSecond: 10 });
    expect(plan(devices, [busy, ...rest])[0]).toBe("load a full-gpu");
  });

  test("models are spread by what there is to do, then by their number, then by space", () => {
    const devices = [
      device("busy", 90, [held("hot", { bytes: 10 })]),
      device("many", 80, [held("b", { bytes: 10 }), held("c", { bytes: 10 })]),
      device("few", 40, [held("d", { bytes: 60 })]),
      device("fewer-bytes", 60, [held("e", { bytes: 40 })]),
    ];
    const rest = ["b", "c", "d", "e", "v", "w", "x", "y"].map((ref) => model(ref));
    const models = [model("hot", { busyDevices: 0.5, rowsPerSecond: 10 }), ...rest];
    const loads = plan(devices, models).filter((action) => /load [v-y]/.test(action));
    expect(loads).toEqual(["load v fewer-bytes", "load w few", "load x many", "load y busy"]);
  });

  test("a model that keeps its copies busy has one more, before it waits", () => {
    const copies = [device("a", 80, [held("m")]), device("b", 80, [held("m")])];
    const idle = [...copies, device("c", 100)];
    expect(plan(idle, [model("m", { busyDevices: 1.1 })])).toEqual([]);
    expect(plan(idle, [model("m", { busyDevices: 1.3 })])).toEqual(["load m c"]);
    const full = [...copies, device("c", 0, [held("other")])];
    const others = [model("other"), model("m", { busyDevices: 1.9 })];
    expect(plan(full, others).filter((action) => action.includes("c"))).toEqual([]);
  });

  test("a full device evicts the least recently used model for one that is asked for", () => {
    const residents = [held("a"), held("b"), held("c"), held("d"), held("e")];
    const models = [
      ...["a", "b", "c", "d", "e"].map((ref, at) => model(ref, { lastUsedUs: 100 - at })),
      model("x", { queuedRows: 1 }),
    ];
    expect(plan([device("gpu", 0, residents)], models)).toEqual(["unload e gpu"]);
  });

  test("a model kept for those who missed it goes for a request that waits, for no other", () => {
    const devices = [device("gpu", 0, [held("a")], { totalBytes: 20 })];
    const missed = model("a", { missed: true });
    expect(plan(devices, [missed, model("b", { missed: true })])).toEqual([]);
    expect(plan(devices, [missed, model("b", { queuedRows: 1 })])).toEqual(["unload a gpu"]);
  });

  test("a model that some missed is loaded for them, after one that is waited for", () => {
    const [missed, waited] = [model("a", { missed: true }), model("b", { queuedRows: 1 })];
    expect(plan([device("gpu", 20)], [missed])).toEqual(["load a gpu"]);
    expect(plan([device("gpu", 20)], [missed, waited])).toEqual(["load b gpu"]);
  });

  test("demand outweighs recency", () => {
    const residents = [held("busy-traffic"), held("quiet")];
    const models = [
      model("busy-traffic", { lastUsedUs: 0, rowsPerSecond: 50 }),
      model("quiet", { lastUsedUs: 1_000_000 }),
      model("x", { queuedRows: 1, bytes: 20 }),
    ];
    expect(plan([device("gpu", 0, residents, { totalBytes: 40 })], models)).toEqual([
      "unload quiet gpu",
    ]);
  });

  test("nothing is evicted for a model that nobody asks for", () => {
    const devices = [device("gpu", 0, [held("a"), held("b"), held("c"), held("d"), held("e")])];
    expect(
      plan(
        devices,
        "abcdex".split("").map((ref) => model(ref)),
      ),
    ).toEqual([]);
  });

  test("models with work, running or queued, are not evicted", () => {
    const devices = [device("gpu", 0, [held("a", { busy: true }), held("b")], { totalBytes: 40 })];
    const models = [model("a"), model("b", { queuedRows: 3 }), model("x", { queuedRows: 1 })];
    expect(plan(devices, models)).toEqual([]);
  });

  test("a replaced version is kept until its successor is ready, then unloaded", () => {
    const devices = [device("gpu", 0, [held("a@1")])];
    expect(plan(devices, [model("a@1", { wanted: false, keep: true })])).toEqual([]);
    expect(plan(devices, [model("a@1", { wanted: false })])).toEqual(["unload a@1 gpu"]);
  });

  test("a failed load is not tried on the same device while it is remembered", () => {
    const devices = [device("gpu", 100, [held("a", { state: "failed", bytes: 0 })])];
    expect(plan(devices, [model("a", { queuedRows: 1 })])).toEqual([]);
  });

  test("a load that found no room is tried again, once others have made way", () => {
    const failed = held("a", { state: "failed", bytes: 60 });
    const models = [model("a", { bytes: 60, queuedRows: 1 }), model("b"), model("c")];
    const full = [device("gpu", 50, [failed, held("b"), held("c", { bytes: 30 })])];
    expect(plan(full, models)).toEqual(["unload b gpu"]);
    expect(plan([device("gpu", 70, [failed, held("c", { bytes: 30 })])], models)).toEqual([
      "load a gpu",
    ]);
  });

  test("a copy whose runs fail is none: another is loaded, and others make way for it", () => {
    const failing = device("gpu", 80, [held("a", { failing: true })]);
    expect(plan([failing], [model("a")])).toEqual([]);
    expect(plan([failing, device("cpu", 100, [], { accelerator: false })], [model("a")])).toEqual([
      "load a cpu",
    ]);
    const only = device("gpu", 0, [held("a", { failing: true })], { totalBytes: 20 });
    const full = device("other", 0, [held("b"), held("c")], { totalBytes: 40 });
    const models = [model("a", { missed: true }), model("b"), model("c", { rowsPerSecond: 1 })];
    expect(plan([only, full], models)).toEqual(["unload b other"]);
  });

  test("a device on which runs fail is the last to be given another model", () => {
    const failing = device("gpu", 80, [held("a", { failing: true })]);
    const cpu = device("cpu", 30, [], { accelerator: false });
    expect(plan([failing, cpu], [model("a"), model("b", { queuedRows: 1 })])[0]).toBe("load b cpu");
    expect(plan([failing], [model("a"), model("b")])).toEqual(["load b gpu"]);
  });

  test("a copy from other bytes is none, and goes before the right one comes (I8)", () => {
    const models = [model("a", { queuedRows: 1 })];
    const stale = held("a", { stale: true });
    expect(plan([device("gpu", 50, [stale])], models)).toEqual(["unload a gpu"]);
    expect(plan([device("gpu", 50, [held("a", { stale: true, busy: true })])], models)).toEqual([]);
    const devices = [device("gpu", 50, [stale]), device("other", 50, [])];
    expect(plan(devices, models)).toEqual(["unload a gpu", "load a other"]);
    const failed = held("a", { stale: true, state: "failed", bytes: 0 });
    expect(plan([device("gpu", 50, [failed])], models)).toEqual(["load a gpu"]);
  });

  test("what a load was found to need there is not tried again with less", () => {
    const failed = held("a", { state: "failed", bytes: 60 });
    const models = [model("a", { bytes: 20, queuedRows: 1 }), model("b"), model("c")];
    const full = [device("gpu", 50, [failed, held("b"), held("c", { bytes: 30 })])];
    expect(plan(full, models)).toEqual(["unload b gpu"]);
  });

  describe("with a time after which models are parked", () => {
    const NOW_US = 100_000_000;
    const options = { ...RESIDENCY_DEFAULTS, parkAfterUs: 10_000_000 };
    const parked = (devices: readonly DeviceView[], models: readonly ModelView[], loadedAtUs = 0) =>
      planResidency(
        { devices, models: new Map(models.map((one) => [one.ref, one])) },
        () => loadedAtUs,
        NOW_US,
        options,
      ).map(({ type, ref, device: at, why }) => `${type} ${ref} ${at}: ${why}`);

    test("a model that nobody asked for leaves every device, though there is room", () => {
      const devices = [device("gpu", 60, [held("a"), held("b")]), device("cpu", 80, [held("a")])];
      const models = [model("a"), model("b", { lastUsedUs: NOW_US - 9_000_000 })];
      expect(parked(devices, models)).toEqual([
        "unload a gpu: idle",
        "unload a cpu: idle",
        "load b cpu: spare copy",
      ]);
      expect(plan(devices, models, NOW_US)).toEqual(["load b cpu"]);
    });

    test("it stays away until a request waits for it, and makes others go then", () => {
      const empty = [device("gpu", 100)];
      expect(parked(empty, [model("a")])).toEqual([]);
      expect(parked(empty, [model("a", { queuedRows: 1 })])).toEqual(["load a gpu: no copy"]);
      const used = model("b", { lastUsedUs: NOW_US });
      const full = [device("gpu", 10, [held("b", { bytes: 90 })])];
      expect(parked(full, [model("a", { queuedRows: 1 }), used])).toEqual([
        "unload b gpu: room for a",
      ]);
    });

    test("what runs, what waits and what was just loaded stays", () => {
      expect(parked([device("gpu", 80, [held("a", { busy: true })])], [model("a")])).toEqual([]);
      const waited = model("a", { queuedRows: 1 });
      expect(parked([device("gpu", 80, [held("a")])], [waited])).toEqual([]);
      expect(parked([device("gpu", 80, [held("a")])], [model("a")], NOW_US - 1_000)).toEqual([]);
    });
  });

  test("whatever is asked for, loads fit and evictions are of idle models (I3)", () => {
    const resident = fc.record({
      ref: fc.constantFrom(...NAMES),
      state: fc.constantFrom<ResidentView["state"]>("ready", "loading", "unloading", "failed"),
      bytes: fc.integer({ min: 1, max: 40 }),
      busy: fc.boolean(),
      stale: fc.boolean(),
      failing: fc.boolean(),
    });
    const anyDevice = fc.record({
      id: fc.constantFrom("d1", "d2", "d3"),
      accelerator: fc.boolean(),
      totalBytes: fc.constant(100),
      freeBytes: fc.integer({ min: 0, max: 100 }),
      residents: fc.uniqueArray(resident, { maxLength: 5, selector: ({ ref }) => ref }),
    });
    const anyModel = fc.record({
      ref: fc.constantFrom(...NAMES),
      bytes: fc.integer({ min: 1, max: 120 }),
      wanted: fc.boolean(),
      keep: fc.boolean(),
      queuedRows: fc.nat(3),
      missed: fc.boolean(),
      waitUs: fc.nat(200_000),
      rowsPerSecond: fc.nat(10),
      busyDevices: fc.nat(5),
      lastUsedUs: fc.nat(1_000_000),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(anyDevice, { selector: ({ id }) => id }),
        fc.uniqueArray(anyModel, { selector: ({ ref }) => ref }),
        (devices, models) => {
          const byRef = new Map(models.map((one) => [one.ref, one]));
          const actions = planResidency({ devices, models: byRef }, () => 0, 10_000_000);
          const loaded = new Map<string, number>();
          for (const action of actions) {
            const target = present(
              devices.find(({ id }) => id === action.device),
              action.device,
            );
            const there = target.residents.find(({ ref }) => ref === action.ref);
            if (action.type === "load") {
              const failed = there?.stale === true && there.state === "failed";
              expect(there === undefined || failed || isShortOfRoom(there)).toBe(true);
              const bytes =
                (loaded.get(target.id) ?? 0) + present(byRef.get(action.ref), action.ref).bytes;
              loaded.set(target.id, bytes);
              expect(bytes).toBeLessThanOrEqual(target.freeBytes);
            } else {
              expect(there?.state).toBe("ready");
              const isIdle = there?.busy === false;
              if (isIdle && (there.stale || (byRef.get(action.ref)?.queuedRows ?? 0) === 0))
                continue;
              // What has work goes only beside a copy that stays, for one that is waited for.
              const stays = devices.filter(
                ({ id, residents }) =>
                  residents.some(({ ref, state }) => ref === action.ref && state === "ready") &&
                  !actions.some((other) => other.device === id && other.ref === action.ref),
              );
              expect(stays).not.toEqual([]);
              const asker = byRef.get(action.why.replace(/^room for /, ""));
              expect(asker?.queuedRows).toBeGreaterThan(0);
            }
          }
        },
      ),
    );
  });
});

describe("who waits for a first copy", () => {
  const pair = ["x", "y"].map((id) => device(id, 0, [held("a", { bytes: 100, busy: true })]));
  const busy = model("a", { bytes: 100, queuedRows: 50, waitUs: 1_000_000 });

  test("comes before who has another, though that is at work", () => {
    const waiting = model("b", { bytes: 100, queuedRows: 1 });
    expect(plan(pair, [busy, waiting])).toEqual(["unload a x"]);
    const [only] = pair;
    expect(plan([present(only, "a device")], [busy, waiting])).toEqual([]);
  });

  test("takes no copy from it while nobody waits", () => {
    expect(plan(pair, [busy, model("b", { bytes: 100, missed: true })])).toEqual([]);
  });
});

test("the version that answers stays until its successor has room without it", () => {
  const old = model("a@1", { bytes: 100, wanted: false, keep: true });
  const next = model("a@2", { bytes: 100, missed: true });
  const unused = model("c", { bytes: 100, lastUsedUs: 5 });
  const one = device("x", 0, [held("a@1", { bytes: 100 })]);
  expect(plan([one], [old, next])).toEqual([]);
  const other = device("y", 0, [held("c", { bytes: 100 })]);
  expect(plan([one, other], [old, next, unused])).toEqual(["unload c y"]);
});
