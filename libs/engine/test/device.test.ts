/** Devices that start or do not, drivers that tell memory, and the end of an engine. */

import { describe, expect, test } from "vitest";
import { ThreadEngine } from "../src/engine.ts";
import { type EngineItem, openEngine } from "../src/index.ts";
import { ThreadLink } from "../src/link.ts";
import { DriverMemory } from "../src/memory.ts";
import { load, numbers, ones } from "./harness.ts";
import { floats, item, longs, paddedModel, perceptron } from "./models.ts";

const MIB = 1024 * 1024;
const BUDGET = 512 * MIB;
const ON_CPU = { device: "cpu", deviceIndex: 0, threads: 1, spin: false, rowUs: 0 } as const;

describe("a device with a driver", () => {
  test("tells the driver's memory, books what went missing, and rounds batches up", async () => {
    const link = await ThreadLink.open(ON_CPU);
    if (typeof link === "string") throw new Error(link);
    let freeMib = 1_000;
    const query = () => Promise.resolve(`0, GPU-1, 2000, ${freeMib}, Test GPU\n`);
    await using gpu = new ThreadEngine({
      deviceClass: "cuda",
      deviceName: "unnamed",
      link,
      driver: new DriverMemory(0, query, undefined),
      budgetBytes: 0,
      passedOver: [],
    });
    expect(await gpu.readDevice()).toEqual({
      class: "cuda",
      name: "Test GPU",
      memoryTotalBytes: 2_000 * MIB,
      memoryFreeBytes: 1_000 * MIB,
      memorySource: "driver",
    });
    const { spec, file } = paddedModel();
    const loading = gpu.load(spec, file());
    // The first question is asked by now; the second comes when the thread has loaded the model.
    freeMib = 700;
    expect(await loading).toMatchObject({ bytes: 300 * MIB });
    // Three rows ran as four, and a length of 3 as one of 8: the sums see five sevens.
    const three = await gpu.run(spec, [item(3, [longs([3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9])], 3)]);
    expect(numbers(three)).toEqual([[1, 2, 3, 4, 5, 6, 7, 8, 9]]);
    expect(numbers(three, 1)).toEqual([[41, 50, 59]]);
    freeMib = 0;
    await gpu.unload("padded@1");
    expect(await gpu.load({ ...spec, version: 2 }, file())).toMatchObject({
      code: "OUT_OF_MEMORY",
    });
  });
});

describe("a WebGPU device", () => {
  test("keeps what models leave behind until all are gone; says when it is much", async () => {
    const link = await ThreadLink.open(ON_CPU);
    if (typeof link === "string") throw new Error(link);
    await using gpu = new ThreadEngine({
      deviceClass: "webgpu",
      deviceName: "unnamed",
      link,
      driver: undefined,
      budgetBytes: BUDGET,
      passedOver: [],
    });
    const stays = await load(gpu, perceptron("stays", [64, 64]));
    const free = (await gpu.readDevice()).memoryFreeBytes;
    const left: number[] = [];
    for (let passing = 0; gpu.worn === undefined; passing++) {
      const { spec, file } = perceptron("passing", [512, 8192, 512]);
      const loaded = await gpu.load(spec, file());
      if ("code" in loaded) throw new Error(loaded.message);
      await gpu.unload("passing@1");
      left.push((await gpu.readDevice()).memoryFreeBytes);
      expect(free - (left.at(-1) as number)).toBeGreaterThanOrEqual((passing + 1) * spec.bytes);
    }
    expect(free - (left.at(-1) as number)).toBeGreaterThan(BUDGET / 4);
    expect(free - (left.at(-2) as number)).toBeLessThanOrEqual(BUDGET / 4);
    expect(gpu.worn).toMatch(/MiB of the device/);
    await gpu.unload(`${stays.name}@1`);
    expect(gpu.worn).toBeUndefined();
    expect((await gpu.readDevice()).memoryFreeBytes).toBe(BUDGET);
  });
});

describe("devices and ends", () => {
  test("a device either starts or says what is missing", async () => {
    try {
      await using cuda = await openEngine({ device: "cuda", memoryBudgetBytes: BUDGET });
      expect((await cuda.readDevice()).class).toBe("cuda");
    } catch (error) {
      expect(error).toMatchObject({
        fault: { code: "UNSUPPORTED", message: expect.stringContaining("cuda: ") },
      });
    }
  });

  test("a thread whose device does not start says so and ends", async () => {
    const link = await ThreadLink.open({ ...ON_CPU, device: "cuda", deviceIndex: 99 });
    expect(link).toEqual(expect.any(String));
  });

  test("a processor advertises its budget, half of the memory unless declared", async () => {
    await using cpu = await openEngine({ device: "cpu", threads: 1 });
    const device = await cpu.readDevice();
    expect(device).toMatchObject({ class: "cpu", memorySource: "budget" });
    expect(device.memoryTotalBytes).toBeGreaterThan(2 ** 20);
    expect(cpu.passedOver).toEqual([]);
  });

  test("closing waits for what runs, and releases what is loaded", async () => {
    const closing = await openEngine({ device: "cpu", threads: 1, memoryBudgetBytes: BUDGET });
    const mlp = perceptron("mlp", [64, 512, 64]);
    const spec = await load(closing, mlp);
    const one: EngineItem = item(1, [floats(1, ones(64))]);
    const run = closing.run(spec, [one, one, one]);
    await closing[Symbol.asyncDispose]();
    expect((await run).ok).toBe(true);
    await closing[Symbol.asyncDispose]();
  });

  test("a thread that dies fails what was asked of it, fatally, and everything after", async () => {
    const link = await ThreadLink.open(ON_CPU);
    if (typeof link === "string") throw new Error(link);
    const answers = await Promise.all([
      link.ask({ type: "load", ref: "x@1", spec: undefined as never, file: new Uint8Array(1) }),
      link.ask({ type: "unload", ref: "y@1" }),
    ]);
    expect(link.lostReason).toBeDefined();
    for (const answer of [...answers, await link.ask({ type: "unload", ref: "z@1" })]) {
      expect(answer).toMatchObject({ type: "failed", fatal: true });
    }
    await link.close();
  });
});
