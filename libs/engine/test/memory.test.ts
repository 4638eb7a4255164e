/** Figures of device memory: the driver's answer, and estimates. */

import { describe, expect, test } from "vitest";
import { DriverMemory, estimateBytes, parseGpus, visibleGpu } from "../src/memory.ts";
import { addModel } from "./models.ts";

const MIB = 1024 * 1024;
const TWO = `0, GPU-aa11, 81559, 80992, NVIDIA H100 80GB HBM3
1, GPU-bb22, 24576, 1024, NVIDIA A10
`;

describe("the answer of nvidia-smi", () => {
  test("one GPU a line, sizes in MiB", () => {
    expect(parseGpus(TWO)).toEqual([
      {
        index: 0,
        uuid: "GPU-aa11",
        totalBytes: 81559 * MIB,
        freeBytes: 80992 * MIB,
        name: "NVIDIA H100 80GB HBM3",
      },
      {
        index: 1,
        uuid: "GPU-bb22",
        totalBytes: 24576 * MIB,
        freeBytes: 1024 * MIB,
        name: "NVIDIA A10",
      },
    ]);
  });

  test("a name may have commas, and lines may end in CR", () => {
    const [gpu] = parseGpus("0, GPU-1, 10, 5, Tesla T4, rev 2\r\n");
    expect(gpu?.name).toBe("Tesla T4, rev 2");
  });

  test.each([
    "",
    "No devices were found\n",
    "0, GPU-1, [N/A], [N/A], NVIDIA GB10\n",
    "0, GPU-1, [Not Supported], 5, X\n",
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
    "0, GPU-1, 10\n",
  ])("what is not a GPU's memory is left out: %j", (text) => {
    expect(parseGpus(text)).toEqual([]);
  });

  test("CUDA_VISIBLE_DEVICES renumbers the GPUs, by index or uuid", () => {
    const gpus = parseGpus(TWO);
    expect(visibleGpu(gpus, 1, undefined)?.name).toBe("NVIDIA A10");
    expect(visibleGpu(gpus, 0, "1,0")?.name).toBe("NVIDIA A10");
    expect(visibleGpu(gpus, 0, "GPU-bb")?.name).toBe("NVIDIA A10");
    expect(visibleGpu(gpus, 0, "")).toBeUndefined();
    expect(visibleGpu(gpus, 2, "0,1")).toBeUndefined();
  });
});

describe("the driver's memory", () => {
  const answers = (texts: readonly (string | Error)[]) => {
    let asked = 0;
    const query = (): Promise<string> => {
      const text = texts[Math.min(asked++, texts.length - 1)] ?? "";
      return text instanceof Error ? Promise.reject(text) : Promise.resolve(text);
    };
    return { query, asked: () => asked };
  };

  test("is asked again only when the last answer is too old", async () => {
    const { query, asked } = answers([TWO]);
    const memory = new DriverMemory(0, query, undefined);
    await Promise.all([memory.read(1_000), memory.read(1_000)]);
    await memory.read(1_000);
    expect(asked()).toBe(1);
    await memory.read(0);
    expect(asked()).toBe(2);
  });

  test("is not taken from a question that was asked before it was wanted", async () => {
    const { query, asked } = answers([TWO, TWO.replace("80992", "500")]);
    const memory = new DriverMemory(0, query, undefined);
    const early = memory.read(0);
    const late = new Promise((resolve) => setTimeout(() => resolve(memory.read(0)), 2));
    expect((await early)?.freeBytes).toBe(80992 * MIB);
    expect(await late).toMatchObject({ freeBytes: 500 * MIB });
    expect(asked()).toBe(2);
  });

  test("keeps the last answer when the driver gives none", async () => {
    const memory = new DriverMemory(0, answers([TWO, new Error("busy")]).query, undefined);
    expect((await memory.read(0))?.freeBytes).toBe(80992 * MIB);
    expect((await memory.read(0))?.freeBytes).toBe(80992 * MIB);
  });

  test("is undefined where there is no driver", async () => {
    const memory = new DriverMemory(0, answers([new Error("not found")]).query, undefined);
    expect(await memory.read(0)).toBeUndefined();
  });
});

test("an estimate counts the file and the largest batch's tensors", () => {
  const { spec } = addModel("add", 8);
  const edges = 2 * 8 * 4 * 4;
  expect(estimateBytes(spec)).toBe(Math.ceil(spec.bytes * 1.2 + 4 * edges));
});
