/**
 * Figures of the engine, run by hand: `node libs/engine/test/measure.ts
 * [latency|spin|cycles|stall]`. Times are of this machine; compare the columns, not the numbers.
 */

import os from "node:os";
import { formatBytes, formatTable } from "@millrace/std";
import * as ort from "onnxruntime-node";
import { openEngine } from "../src/index.ts";
import { addModel, floats, item, perceptron, type TestModel } from "./models.ts";

const usOf = async (
  work: () => Promise<unknown>,
  ms = 1_500,
): Promise<[p50: number, p99: number]> => {
  for (
    let left = 500, until = performance.now() + ms;
    left > 0 && performance.now() < until;
    left--
  ) {
    await work();
  }
  const times: number[] = [];
  const until = performance.now() + ms;
  while (performance.now() < until) {
    const began = performance.now();
    await work();
    times.push((performance.now() - began) * 1000);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((times[Math.floor(times.length * share)] as number) * 10) / 10;
  return [at(0.5), at(0.99)];
};

const zeros = (count: number): number[] => Array.from({ length: count }, () => 0);
const widthOf = ({ spec }: TestModel): number => spec.inputs[0]?.shape[1] as number;

/** One run through the engine against the same run of a bare session on the calling thread. */
async function latency(): Promise<void> {
  const rows: (string | number)[][] = [
    ["model", "rows", "bare p50 us", "p99", "engine p50 us", "p99", "inside onnxruntime", "added"],
  ];
  const models = [
    addModel(),
    perceptron("mlp10m", [1024, 2048, 2048, 1024], 32),
    { ...perceptron("wide", [150_000, 1], 8) }, // 600 KB in, 4 B out
  ];
  await using engine = await openEngine({ device: "cpu", threads: 1, memoryBudgetBytes: 2e9 });
  for (const model of models) {
    const session = await ort.InferenceSession.create(model.file(), { intraOpNumThreads: 1 });
    await engine.load(model.spec, model.file());
    const width = widthOf(model);
    for (const batch of [1, 8]) {
      const data = new Float32Array(batch * width);
      const bare = await usOf(() =>
        session.run({ x: new ort.Tensor("float32", data, [batch, width]) }),
      );
      const one = item(1, [floats(1, [...data.subarray(0, width)])]);
      const items = Array.from({ length: batch }, () => one);
      let computeUs = 0;
      let runs = 0;
      const through = await usOf(async () => {
        const result = await engine.run(model.spec, items);
        computeUs += result.computeUs;
        runs++;
      });
      const inside = Math.round(computeUs / runs);
      const added = Math.round(through[0] - bare[0]);
      rows.push([model.spec.name, batch, ...bare, ...through, inside, added]);
    }
    await session.release();
    await engine.unload(`${model.spec.name}@1`);
  }
  process.stdout.write(`${formatTable(rows)}\n`);
}

/** Idle threads that spin, against idle threads that sleep, alone and beside a busy neighbour. */
async function spin(): Promise<void> {
  const rows: (string | number)[][] = [["threads", "spin", "rows", "p50 us", "p99", "cores used"]];
  const model = perceptron("mlp10m", [1024, 2048, 2048, 1024], 32);
  const width = widthOf(model);
  const one = item(1, [floats(1, zeros(width))]);
  for (const [threads, spins] of [
    [1, false],
    [os.availableParallelism(), false],
    [os.availableParallelism(), true],
  ] as const) {
    await using engine = await openEngine({
      device: "cpu",
      threads,
      spin: spins,
      memoryBudgetBytes: 2e9,
    });
    await engine.load(model.spec, model.file());
    for (const batch of [1, 8, 32]) {
      const items = Array.from({ length: batch }, () => one);
      const cpu = process.cpuUsage();
      const began = performance.now();
      const times = await usOf(() => engine.run(model.spec, items));
      const used = process.cpuUsage(cpu);
      const cores = (used.user + used.system) / 1000 / (performance.now() - began);
      rows.push([threads, spins ? "yes" : "no", batch, ...times, Math.round(cores * 100) / 100]);
    }
  }
  process.stdout.write(`${formatTable(rows)}\n`);
}

/** A hundred times: load a model, run it, unload it. Memory at the end against the beginning. */
async function cycles(): Promise<void> {
  const rows: (string | number)[][] = [["cycles", "resident", "of the tenth"]];
  const model = perceptron("mlp10m", [1024, 2048, 2048, 1024], 32);
  const one = item(1, [floats(1, zeros(widthOf(model)))]);
  await using engine = await openEngine({ device: "cpu", threads: 2, memoryBudgetBytes: 2e9 });
  let first = 0;
  for (let cycle = 1; cycle <= 100; cycle++) {
    const loaded = await engine.load(model.spec, model.file());
    if (!("warmUs" in loaded)) throw new Error(loaded.message);
    const result = await engine.run(model.spec, [one]);
    if (!result.ok) throw new Error(result.fault.message);
    await engine.unload(`${model.spec.name}@1`);
    if (cycle % 10 !== 0) continue;
    const resident = process.memoryUsage.rss();
    if (cycle === 10) first = resident;
    rows.push([cycle, formatBytes(resident), `${((100 * resident) / first).toFixed(1)} %`]);
  }
  process.stdout.write(`${formatTable(rows)}\n`);
}

/** How long runs of one model wait while another loads. */
async function stall(): Promise<void> {
  const rows: (string | number)[][] = [
    ["file", "load ms", "runs meanwhile", "p50 us", "longest ms"],
  ];
  const tiny = addModel();
  const one = item(1, [floats(1, [1, 2, 3, 4])]);
  await using engine = await openEngine({ device: "cpu", threads: 1, memoryBudgetBytes: 4e9 });
  await engine.load(tiny.spec, tiny.file());
  for (const widths of [
    [256, 512, 256],
    [1024, 2048, 2048, 1024],
    [2048, 4096, 4096, 2048],
  ]) {
    const model = perceptron(`p${widths[0]}`, widths, 32);
    const began = performance.now();
    const done = new AbortController();
    const load = engine.load(model.spec, model.file()).finally(() => done.abort());
    const times: number[] = [];
    while (!done.signal.aborted) {
      const start = performance.now();
      await engine.run(tiny.spec, [one]);
      times.push(performance.now() - start);
    }
    await load;
    const ms = Math.round(performance.now() - began);
    times.sort((a, b) => a - b);
    const p50 = Math.round((times[times.length >> 1] as number) * 1000);
    rows.push([
      formatBytes(model.spec.bytes),
      ms,
      times.length,
      p50,
      Math.round(times.at(-1) as number),
    ]);
    await engine.unload(`${model.spec.name}@1`);
  }
  process.stdout.write(`${formatTable(rows)}\n`);
}

const parts = { latency, spin, cycles, stall };
for (const [name, part] of Object.entries(parts)) {
  if (process.argv[2] !== undefined && process.argv[2] !== name) continue;
  process.stdout.write(`\n${name}\n`);
  await part();
}
