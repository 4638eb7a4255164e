/** Loading and unloading: the order, the guard on memory, and late commands. */

import { describe, expect, test } from "vitest";
import { MIB, WorkerRig, device, item, modelSpec, verdicts } from "./worker-rig.ts";

const states = (rig: WorkerRig): Record<string, string> => {
  const beat = rig.effects.findLast(
    (effect) => effect.type === "beat" && effect.heartbeat.models !== undefined,
  );
  if (beat?.type !== "beat") return {};
  const models = beat.heartbeat.models ?? [];
  return Object.fromEntries(models.map(({ ref, state }) => [ref, state]));
};

const digest = "0".repeat(64);

const operations = (rig: WorkerRig): string[] =>
  rig.effects.flatMap((effect) => {
    if (effect.type === "load") return [`load ${effect.spec.name}`];
    return effect.type === "unload" ? [`unload ${effect.ref}`] : [];
  });

describe("loading", () => {
  test("says at once that it began, and that it ended with what it measured", () => {
    const rig = new WorkerRig();
    const began = rig.load(modelSpec("digits", 10 * MIB));
    expect(began.effects.map(({ type }) => type)).toEqual(["load", "beat"]);
    expect(began.beats[0]?.models).toEqual([
      { ref: "digits@1", digest, state: "loading", bytes: 12 * MIB },
    ]);
    expect(rig.loaded("digits@1", 11 * MIB).beats[0]?.models).toEqual([
      { ref: "digits@1", digest, state: "ready", bytes: 11 * MIB, warmUs: [[1, 100]] },
    ]);
  });

  test("is done once, however often it is asked for", () => {
    const rig = new WorkerRig();
    rig.load(modelSpec("digits"));
    rig.load(modelSpec("digits"));
    rig.loaded("digits@1");
    rig.load(modelSpec("digits"));
    expect(operations(rig)).toEqual(["load digits"]);
  });

  test("goes one at a time, in the order of the commands", () => {
    const rig = new WorkerRig();
    rig.load(modelSpec("one"));
    rig.load(modelSpec("two"));
    expect(operations(rig)).toEqual(["load one"]);
    rig.loaded("one@1");
    expect(operations(rig)).toEqual(["load one", "load two"]);
  });

  test("never begins without room for its estimate", () => {
    const rig = new WorkerRig({}, 20 * MIB);
    const { beats } = rig.load(modelSpec("large", 17 * MIB));
    expect(operations(rig)).toEqual([]);
    const bytes = Math.ceil(17 * MIB * 1.2);
    expect(beats[0]?.models).toMatchObject([
      { ref: "large@1", state: "failed", bytes, error: { code: "OUT_OF_MEMORY" } },
    ]);
    rig.tell({ type: "deviceRead", device: device(21 * MIB) });
    rig.load(modelSpec("large", 17 * MIB));
    expect(operations(rig)).toEqual(["load large"]);
  });

  test("asks for room only after the unload before it was measured", () => {
    const rig = new WorkerRig({}, 20 * MIB);
    rig.load(modelSpec("old", 16 * MIB));
    rig.loaded("old@1", 16 * MIB, 4 * MIB);
    rig.unload("old@1");
    rig.load(modelSpec("new", 16 * MIB));
    expect(operations(rig)).toEqual(["load old", "unload old@1"]);
    rig.tell({ type: "unloadEnded", ref: "old@1", device: device(20 * MIB) });
    expect(operations(rig)).toEqual(["load old", "unload old@1", "load new"]);
  });

  test("that failed is shown with its reason, and forgotten after 15 seconds", () => {
    const rig = new WorkerRig();
    rig.load(modelSpec("digits"));
    const failure = { code: "MODEL_CORRUPT", message: "no graph" } as const;
    const { beats } = rig.tell({
      type: "loadEnded",
      ref: "digits@1",
      loaded: failure,
      device: device(9),
    });
    expect(beats[0]?.models).toEqual([
      { ref: "digits@1", digest, state: "failed", bytes: 0, error: failure },
    ]);
    rig.pass(14_900_000);
    expect(states(rig)).toEqual({ "digits@1": "failed" });
    rig.pass(200_000);
    expect(states(rig)).toEqual({});
  });

  test("that failed may be tried again at once", () => {
    const rig = new WorkerRig();
    rig.load(modelSpec("digits"));
    const loaded = { code: "LOAD_FAILED", message: "no blob" } as const;
    rig.tell({ type: "loadEnded", ref: "digits@1", loaded, device: device(100 * MIB) });
    rig.load(modelSpec("digits"));
    rig.loaded("digits@1");
    rig.pass(20_000_000);
    expect(states(rig)).toEqual({ "digits@1": "ready" });
  });

  test("that ran out of memory against the estimate waits longer each time, or for room", () => {
    const rig = new WorkerRig({}, 50 * MIB);
    const short = { code: "OUT_OF_MEMORY", message: "no arena" } as const;
    const failed = (): void => {
      rig.tell({ type: "loadEnded", ref: "digits@1", loaded: short, device: device(50 * MIB) });
    };
    rig.load(modelSpec("digits"));
    failed();
    // It is said to need more than was free, so that others make way for it.
    const beat = rig.effects.findLast(({ type }) => type === "beat");
    expect(beat?.type === "beat" && beat.heartbeat.models).toMatchObject([
      { state: "failed", bytes: 50 * MIB + 1, error: { code: "OUT_OF_MEMORY" } },
    ]);
    const again = (us: number): number => {
      rig.pass(us);
      rig.load(modelSpec("digits"));
      return operations(rig).length;
    };
    expect(again(400_000)).toBe(1);
    expect(again(200_000)).toBe(2);
    failed();
    expect(again(900_000)).toBe(2);
    expect(again(200_000)).toBe(3);
    failed();
    rig.tell({ type: "deviceRead", device: device(60 * MIB) });
    expect(again(0)).toBe(4);
  });

  test("of the same ref from other bytes unloads what is held of it first (I8)", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    const other = { ...modelSpec("digits"), digest: "1".repeat(64) };
    rig.load(other);
    expect(verdicts(rig.assign("digits@1", [item(2)]))).toEqual([[2, "NOT_LOADED"]]);
    rig.ran();
    expect(operations(rig)).toEqual(["load digits", "unload digits@1"]);
    rig.tell({ type: "unloadEnded", ref: "digits@1", device: device(100 * MIB) });
    const loads = rig.effects.filter((effect) => effect.type === "load");
    expect(loads.map(({ spec }) => spec.digest)).toEqual([digest, other.digest]);
    rig.loaded("digits@1");
    expect(rig.effects.findLast(({ type }) => type === "beat")).toMatchObject({
      heartbeat: { models: [{ digest: other.digest, state: "ready" }] },
    });
  });

  test("from other bytes waits for a load under way, and takes the place of one that waits", () => {
    const rig = new WorkerRig();
    const other = (name: string) => ({ ...modelSpec(name), digest: "1".repeat(64) });
    rig.load(modelSpec("one"));
    rig.load(modelSpec("two"));
    rig.load(other("two"));
    rig.load(other("one"));
    rig.loaded("one@1");
    rig.loaded("two@1");
    rig.tell({ type: "unloadEnded", ref: "one@1", device: device(100 * MIB) });
    rig.loaded("one@1");
    expect(operations(rig)).toEqual(["load one", "load two", "unload one@1", "load one"]);
    const loads = rig.effects.filter((effect) => effect.type === "load");
    expect(loads.map(({ spec }) => spec.digest[0])).toEqual(["0", "1", "1"]);
  });

  test("takes no more models than the limit, and failures make way", () => {
    const rig = new WorkerRig({ residentsMax: 2 }, 10 * MIB);
    rig.load(modelSpec("huge", 100 * MIB));
    rig.load(modelSpec("one"));
    rig.load(modelSpec("two"));
    rig.load(modelSpec("three"));
    expect(states(rig)).toEqual({ "one@1": "loading", "two@1": "loading" });
  });
});

describe("unloading", () => {
  test("waits for the batches that are held, and takes no new ones", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.assign("digits@1", [item(2)]);
    expect(rig.unload("digits@1").beats).toHaveLength(1);
    expect(states(rig)).toEqual({ "digits@1": "unloading" });
    expect(verdicts(rig.assign("digits@1", [item(3)]))).toEqual([[3, "NOT_LOADED"]]);
    rig.ran();
    expect(operations(rig)).toEqual(["load digits"]);
    rig.ran();
    expect(operations(rig)).toEqual(["load digits", "unload digits@1"]);
    rig.tell({ type: "unloadEnded", ref: "digits@1", device: device(100 * MIB) });
    expect(states(rig)).toEqual({});
  });

  test("is taken back by a load that comes before it began", () => {
    const rig = new WorkerRig();
    rig.ready(modelSpec("digits"));
    rig.assign("digits@1", [item(1)]);
    rig.unload("digits@1");
    rig.load(modelSpec("digits"));
    expect(states(rig)).toEqual({ "digits@1": "ready" });
    rig.ran();
    expect(operations(rig)).toEqual(["load digits"]);
  });

  test("of a model that is being loaded follows its load", () => {
    const rig = new WorkerRig();
    rig.load(modelSpec("digits"));
    rig.unload("digits@1");
    rig.unload("digits@1");
    rig.loaded("digits@1");
    expect(operations(rig)).toEqual(["load digits", "unload digits@1"]);
  });

  test("of a model whose load fails meanwhile needs nothing more", () => {
    const rig = new WorkerRig();
    rig.load(modelSpec("digits"));
    rig.unload("digits@1");
    const loaded = { code: "LOAD_FAILED", message: "no blob" } as const;
    rig.tell({ type: "loadEnded", ref: "digits@1", loaded, device: device(MIB) });
    expect(operations(rig)).toEqual(["load digits"]);
    expect(states(rig)).toEqual({ "digits@1": "failed" });
  });

  test("of a model that waits for its load takes the load back", () => {
    const rig = new WorkerRig();
    rig.load(modelSpec("one"));
    rig.load(modelSpec("two"));
    rig.unload("two@1");
    expect(states(rig)).toEqual({ "one@1": "loading" });
    rig.loaded("one@1");
    expect(operations(rig)).toEqual(["load one"]);
  });

  test("of a model that is not there is nothing", () => {
    const rig = new WorkerRig();
    rig.pass(0);
    expect(rig.unload("digits@1").effects).toEqual([]);
  });
});
