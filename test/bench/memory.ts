/** Scenarios of memory: what is loaded and unloaded, or served for long, leaves nothing behind. */

import { execFileSync } from "node:child_process";
import { type Bench, type Scenario } from "./bench.ts";
import { inferOnce } from "./requests.ts";
import { median, ratioAtMost, type Row } from "./rows.ts";

const CYCLES = 100;
/** Cycles before the beginning is read: allocators and the compiler have their arenas by then. */
const CYCLES_BEFORE = 10;
const SOAK_MS = 600_000;
const SLICE_MS = 10_000;
const GROWTH_MOST = 1.1;
const MIB = 1024 * 1024;

/** Resident memory of a process in MiB. */
const residentMib = (pid: number): number => {
  const output = execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" });
  return (Number(output) * 1024) / MIB;
};

const grown = (name: string, begin: number, end: number): Row => ({
  name,
  unit: "MiB",
  value: end,
  floor: begin,
  ratio: end / begin,
  goal: ratioAtMost(GROWTH_MOST),
});

async function cycle(bench: Bench): Promise<void> {
  const cluster = await bench.cluster();
  const model = bench.model("mlp10m");
  await cluster.setLoaded(model.name, false);
  await cluster.modelReady(model.name, false);
  await cluster.setLoaded(model.name, true);
  await cluster.modelReady(model.name);
  await inferOnce(cluster, model);
}

export const memory: Scenario = {
  name: "memory",
  async run(bench) {
    const cluster = await bench.cluster();
    const readings: number[] = [];
    for (let done = 1; done <= CYCLES; done++) {
      await cycle(bench);
      readings.push(residentMib(cluster.pid(`${bench.workerRole}-1`) ?? 0));
      if (done % 25 === 0) bench.say(`memory: ${done} of ${CYCLES} load and unload cycles`);
    }
    // Single readings jump with the collector's moods.
    const begin = median(readings.slice(CYCLES_BEFORE, CYCLES_BEFORE + 5));
    const end = median(readings.slice(-5));
    return [grown(`worker memory, ${CYCLES} loads and unloads`, begin, end)];
  },
};

/** Ten minutes of load, only where asked for. */
export const soak: Scenario = {
  name: "soak",
  async run(bench) {
    const cluster = await bench.cluster();
    const readings = new Map<string, number[]>(cluster.ids.map((id) => [id, []]));
    for (let atMs = 0; atMs < SOAK_MS; atMs += SLICE_MS) {
      const model = bench.model((atMs / SLICE_MS) % 2 === 0 ? "tiny" : "echo600k");
      await bench.load(cluster, model, 32, SLICE_MS);
      for (const [id, each] of readings) each.push(residentMib(cluster.pid(id) ?? 0));
      if (atMs % 60_000 !== 0) continue;
      // Minute by minute, to tell what grows from what was still reaching its size.
      const now = [...readings].map(([id, each]) => `${id} ${Math.round(each.at(-1) ?? 0)} MiB`);
      bench.say(`soak: minute ${atMs / 60_000} of ${SOAK_MS / 60_000}: ${now.join(", ")}`);
    }
    return [...readings].map(([id, each]) =>
      grown(`${id} memory, 10 minutes of load`, median(each.slice(4, 12)), median(each.slice(-8))),
    );
  },
};
