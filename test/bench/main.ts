/**
 * Measures Millrace against its floor and prints a table. `npm run bench`, and behind `--`:
 * `--json FILE` also writes the rows, `--only NAME` runs one scenario (tiny, large, mlp10m,
 * encoder1g, scheduling, memory), `--soak` adds ten minutes of load.
 */

import { writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { formatBytes } from "@millrace/std";
import { Bench, type Scenario } from "./bench.ts";
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

function readArguments(): { readonly json?: string; readonly scenarios: readonly Scenario[] } {
  try {
    const {
      json,
      only,
      soak: soaked,
    } = parseArgs({
      options: {
        json: { type: "string" },
        only: { type: "string" },
        soak: { type: "boolean", default: false },
      },
    }).values;
    return { scenarios: choose(only, soaked), ...(json === undefined ? {} : { json }) };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(2);
  }
}

async function main(): Promise<void> {
  const { json, scenarios } = readArguments();
  await using bench = await Bench.open(benchModels(), say);
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
      `${bench.threads} core(s) for the worker\n\n${formatRows(rows)}\n`,
  );
  if (json !== undefined) await writeFile(json, jsonRows(rows));
}

await main();
