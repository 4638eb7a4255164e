/** `millrace bench`: hands over to the benchmark, which is a program of its own. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { CommandError } from "./failure.ts";

const BENCH = fileURLToPath(new URL("../../../test/bench/main.ts", import.meta.url));

const HELP = `
Options of the benchmark:
  --only <name>    one scenario: tiny, large, mlp10m, encoder1g, scheduling, memory or soak
  --device <name>  cuda or webgpu, in place of the processor
  --soak           all of them, and ten minutes of load
  --json <file>    also write the rows as JSON`;

export function registerBench(program: Command): void {
  program
    .command("bench")
    .summary("measure the cluster against the floor")
    .description(
      "Measures the bare hops, the cluster, and their ratio. Options go to the benchmark.",
    )
    .argument("[options...]", "options of the benchmark")
    .allowUnknownOption()
    .addHelpText("after", HELP)
    .action(runBench);
}

async function runBench(options: readonly string[]): Promise<void> {
  if (!existsSync(BENCH)) {
    throw new CommandError(`${BENCH} is missing`, "run it in a checkout of the repository");
  }
  const child = spawn(process.execPath, [...process.execArgv, BENCH, ...options], {
    stdio: "inherit",
  });
  const [code] = (await once(child, "close")) as [number | null];
  process.exitCode = code ?? 1;
}
