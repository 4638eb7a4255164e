/**
 * Runs the simulator from a command line.
 *
 *   node libs/sim/src/main.ts --seed 0x1f2e3d4c [--trace]
 *   node libs/sim/src/main.ts --seeds 400 --from <commit>
 *
 * `--without DEFENCE` switches a defence off, which the checkers should notice. The exit status is
 * 1 when an invariant did not hold, and 2 when the arguments make no sense.
 */

import { hash32 } from "@millrace/std";
import { parseArgs } from "node:util";
import { describeFailure, describeRun, isFailure, seedName } from "./describe.ts";
import { type Report, simulate } from "./simulate.ts";
import { type Defence, DEFENCES } from "./world.ts";

const USAGE = `usage: main.ts --seed N [--trace] | --seeds N --from TEXT   [--without DEFENCE]...
defences: ${DEFENCES.join(" ")}`;
const PROGRESS_MS = 2_000;
/** One is enough to act on, and a few show whether they are alike. */
const FAILURES_SHOWN_MAX = 5;

const print = (line: string): void => void process.stdout.write(`${line}\n`);

function refuse(problem: string): never {
  process.stderr.write(`${problem}\n${USAGE}\n`);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        seed: { type: "string" },
        seeds: { type: "string" },
        from: { type: "string", default: "" },
        trace: { type: "boolean", default: false },
        without: { type: "string", multiple: true, default: [] },
      },
    }).values;
  } catch (error) {
    refuse(String(error));
  }
}

function readNumber(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    refuse(`--${name} ${text}: a whole number below 2^32 is expected`);
  }
  return value;
}

function readDefences(names: readonly string[]): Defence[] {
  return names.map((name) => DEFENCES.find((known) => known === name) ?? refuse(`no ${name}`));
}

function runOne(seed: number, without: Defence[], trace: boolean): void {
  const report = simulate(seed, { without, ...(trace ? { print } : {}) });
  if (isFailure(report)) {
    print(describeFailure(report));
    process.exitCode = 1;
  }
  print(describeRun(report));
}

function runMany(count: number, from: string, without: Defence[]): void {
  const beganMs = performance.now();
  let saidMs = beganMs;
  const failed: Report[] = [];
  const outcomes = new Map<string, number>();
  let virtualUs = 0;
  for (let at = 0; at < count; at++) {
    const report = simulate(hash32(`${from}/${at}`), { without });
    virtualUs += report.virtualUs;
    for (const [how, times] of report.outcomes) outcomes.set(how, (outcomes.get(how) ?? 0) + times);
    if (isFailure(report)) {
      failed.push(report);
      if (failed.length <= FAILURES_SHOWN_MAX) print(describeFailure(report));
      else print(`seed ${seedName(report.seed)} failed too`);
    }
    const nowMs = performance.now();
    if (nowMs - saidMs < PROGRESS_MS) continue;
    saidMs = nowMs;
    const rate = ((at + 1) * 1_000) / (nowMs - beganMs);
    print(`${at + 1} of ${count} seeds, ${rate.toFixed(0)} a second, ${failed.length} failed`);
  }
  const seconds = (performance.now() - beganMs) / 1_000;
  const answers = [...outcomes].sort((a, b) => b[1] - a[1]);
  print(answers.map(([how, times]) => `${how} ${times}`).join(", "));
  print(
    `${count} seeds of "${from}": ${failed.length} failed; ` +
      `${(virtualUs / 1e6).toFixed(0)} virtual seconds in ${seconds.toFixed(1)} s`,
  );
  if (failed.length > 0) process.exitCode = 1;
}

const { seed, seeds, from, trace, without } = readArguments();
const defences = readDefences(without);
if (seed !== undefined) runOne(readNumber(seed, "seed"), defences, trace);
else if (seeds !== undefined) runMany(readNumber(seeds, "seeds"), from, defences);
else refuse("--seed or --seeds is missing");
