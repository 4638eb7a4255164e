/**
 * Measures Millrace against its floor and prints a table. `npm run bench`, and behind `--`:
 * `--json FILE` also writes the rows, `--only NAME` runs one scenario (tiny, large, mlp10m,
 * encoder1g, scheduling, memory), `--device cuda|webgpu` has a GPU run the models in place of the
 * processor, `--soak` adds ten minutes of load.
 */

import { writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { formatBytes } from "@millrace/std";
import { Bench, BENCH_DEVICES, type BenchDevice, type Scenario } from "./bench.ts";
import { encoder, mlp } from "./compute.ts";
import { large, tiny } from "./hops.ts";
import { memory, soak } from "./memory.ts";
import { benchModels } from "./models.ts";
import { formatRows, jsonRows, type Row } from "./rows.ts";
import { scheduling } from "./scheduler-alone.ts";

const SCENARIOS: readonly Scenario[] = [tiny, large, mlp, encoder, scheduling, memory];

const startedMs = performance.now();
const say = (line: string): void => {
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0).padStart(4);
  process.stderr.write(`${seconds} s  ${line}\n`);
};

function choose(only: string | undefined, soaked: boolean): readonly Scenario[] {
  const all = soaked ? [...SCENARIOS, soak] : SCENARIOS;
  if (only === undefined) return all;
  const chosen = [...SCENARIOS, soak].filter(({ name }) => name === only);
  const names = SCENARIOS.map(({ name }) => name).join(", ");
  if (chosen.length === 0) throw new Error(`no scenario ${only}; there are ${names}, soak`);
  return chosen;
}

interface Arguments {
  readonly json?: string;
  readonly device: BenchDevice;
  readonly scenarios: readonly Scenario[];
}

function readArguments(): Arguments {
  try {
    const {
      json,
      only,
      device,
      soak: soaked,
    } = parseArgs({
      options: {
        json: { type: "string" },
        only: { type: "string" },
        device: { type: "string", default: "cpu" },
        soak: { type: "boolean", default: false },
      },
    }).values;
    const known = BENCH_DEVICES.find((each) => each === device);
    if (known === undefined)
      throw new Error(`no device ${device}; there are ${BENCH_DEVICES.join(", ")}`);
    const scenarios = choose(only, soaked);
    return { scenarios, device: known, ...(json === undefined ? {} : { json }) };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(2);
  }
}

async function main(): Promise<void> {
  const { json, scenarios, device } = readArguments();
  await using bench = await Bench.open(benchModels(), device, say);
  const rows: Row[] = [];
  for (const scenario of scenarios) {
    // One that fails does not cost the figures of the others.
    try {
      rows.push(...(await scenario.run(bench)));
    } catch (error) {
      say(`${scenario.name} failed: ${String(error)}`);
      process.exitCode = 1;
    }
  }
  const date = new Date().toISOString().slice(0, 10);
  const cores = `${availableParallelism()} x ${cpus()[0]?.model ?? "unknown processor"}`;
  process.stdout.write(
    `\n${date}, ${cores}, ${formatBytes(totalmem())}, Node ${process.versions.node}, ` +
      `${bench.threads} core(s) for the worker, device ${device}\n\n${formatRows(rows)}\n`,
  );
  if (json !== undefined) await writeFile(json, jsonRows(rows));
}

await main();
