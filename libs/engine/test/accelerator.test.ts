/** CUDA and WebGPU on a real GPU, where there is one: skipped elsewhere, with the reason. */

import { FaultError } from "@millrace/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Engine, openEngine } from "../src/index.ts";
import { codeOf, load, numbers } from "./harness.ts";
import {
  floats,
  gatherModel,
  gatherNdModel,
  item,
  longs,
  paddedModel,
  perceptron,
} from "./models.ts";

const MIB = 1024 * 1024;

describe.each(["webgpu", "cuda"] as const)("%s", (device) => {
  let engine: Engine | undefined;
  let lacking = "";

  beforeAll(async () => {
    try {
      engine = await openEngine({ device });
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      lacking = error.fault.message;
    }
  }, 70_000);
  beforeEach((context) => context.skip(engine === undefined, lacking));
  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]();
  });
  const gpu = (): Engine => engine as Engine;
  const freeBytes = async (): Promise<number> => (await gpu().readDevice()).memoryFreeBytes;

  test("names its GPU, and the driver tells its memory", async () => {
    const told = await gpu().readDevice();
    expect(told).toMatchObject({ class: device, memorySource: "driver" });
    expect(told.name).toMatch(/NVIDIA/);
    expect(told.memoryTotalBytes).toBeGreaterThan(told.memoryFreeBytes);
  });

  test("answers as the processor does, within what its arithmetic rounds", async () => {
    await using cpu = await openEngine({ device: "cpu", threads: 2, memoryBudgetBytes: 1e9 });
    const mlp = perceptron("mlp", [64, 512, 512, 10], 16, 1);
    const batch = Array.from({ length: 13 }, (_, row) =>
      item(1, [
        floats(
          1,
          Array.from({ length: 64 }, (__, at) => Math.sin(row + at)),
        ),
      ]),
    );
    await load(gpu(), mlp);
    await load(cpu, mlp);
    const [there, here] = [await gpu().run(mlp.spec, batch), await cpu.run(mlp.spec, batch)];
    const [actual, expected] = [numbers(there).flat(), numbers(here).flat()];
    const largest = Math.max(...expected.map(Math.abs));
    expect(new Set(expected).size).toBeGreaterThan(50);
    // TF32 keeps ten bits of a fraction.
    actual.forEach((value, at) => {
      expect(Math.abs(value - (expected[at] as number))).toBeLessThan(largest / 100);
    });
    await gpu().unload("mlp@1");
  });

  test("items of different lengths share a batch and are cut back to their own", async () => {
    const spec = await load(gpu(), paddedModel());
    const result = await gpu().run(spec, [
      item(1, [longs([1, 2], [1, 2])], 2),
      item(2, [longs([2, 1], [3, 4])], 1),
    ]);
    expect(numbers(result)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    await gpu().unload("padded@1");
  });

  test("what a model takes is measured, and comes back when it is unloaded", async () => {
    const large = perceptron("large", [4096, 8192, 4096], 8);
    const before = await freeBytes();
    const loaded = await gpu().load(large.spec, large.file());
    if ("code" in loaded) throw new Error(loaded.message);
    expect(loaded.bytes).toBeGreaterThanOrEqual(large.spec.bytes);
    expect(await freeBytes()).toBeLessThan(before - large.spec.bytes + 8 * MIB);
    await gpu().unload("large@1");
    expect(await freeBytes()).toBeGreaterThan(before - large.spec.bytes / 2);
  }, 60_000);

  test("a hundred loads and unloads leave nothing behind", async () => {
    const mlp = perceptron("cycled", [1024, 2048, 1024], 8);
    const begin: number[] = [];
    for (let cycle = 0; cycle < 100; cycle++) {
      await load(gpu(), mlp);
      await gpu().unload("cycled@1");
      if (cycle === 10) begin.push(await freeBytes());
    }
    expect(await freeBytes()).toBeGreaterThan((begin[0] as number) - 64 * MIB);
  }, 120_000);

  test("a model larger than what is free is refused before it is loaded", async () => {
    const { spec, file } = perceptron("huge", [8, 8]);
    const tooLarge = { ...spec, bytes: 2 ** 40 };
    expect(await gpu().load(tooLarge, file())).toMatchObject({ code: "OUT_OF_MEMORY" });
    expect(
      codeOf(await gpu().run(tooLarge, [item(1, [floats(1, [1, 1, 1, 1, 1, 1, 1, 1])])])),
    ).toBe("NOT_LOADED");
  });

  test("a wrong index does not poison the device", async () => {
    const spec = await load(gpu(), gatherModel());
    const result = await gpu().run(spec, [item(1, [longs([1], [99])])]);
    // CUDA reads zeros there, and does not fail.
    if (!result.ok) expect(result.fatal).not.toBe(true);
    const after = await gpu().run(spec, [item(1, [longs([1], [2])])]);
    expect(numbers(after)).toEqual([[30]]);
    await gpu().unload("gather@1");
  });

  // The last of all: nothing runs on CUDA in this process afterwards.
  test.runIf(device === "cuda")(
    "an illegal address poisons CUDA, and is known for it",
    async () => {
      const spec = await load(gpu(), gatherNdModel());
      const far = await gpu().run(spec, [item(1, [longs([1, 1], [2 ** 50])])]);
      expect(far).toMatchObject({ ok: false, fatal: true });
      const after = await gpu().run(spec, [item(1, [longs([1, 1], [2])])]);
      expect(after).toMatchObject({ ok: false, fatal: true });
    },
  );
});
