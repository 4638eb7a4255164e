/** `millrace replay`: policies side by side on a recorded load, with what each would have cost. */

import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import type { Command } from "commander";
import {
  DEFAULT_PRICE_BOOK,
  describeProblem as describeBookProblem,
  parsePriceBook,
  type PriceBook,
} from "@millrace/costing";
import { describeProblem } from "@millrace/load-facts";
import {
  parseSpotTrace,
  POLICIES,
  type Policy,
  replay,
  REPLAY_SETTINGS,
  type ReplaySettings,
  type SpotTrace,
} from "@millrace/replay";
import { CommandError, usageError } from "./failure.ts";
import { describeRepairs, readTrace } from "./load-file.ts";
import { replayPage } from "./replay-page.ts";
import { describeReplay } from "./replay-table.ts";

interface Options {
  readonly spot?: string;
  readonly peakGpus: string;
  readonly startUp?: string;
  readonly perGpu: string;
  readonly kind?: string;
  readonly priceBook?: string;
  readonly deferrable: string;
  readonly batchingGain?: string;
  readonly days: string;
  readonly seed: string;
  readonly policies?: string;
  readonly duplicates: string;
  readonly json?: string;
  readonly report?: string;
}

const NAMES = POLICIES.map(({ name }) => name).join(", ");
const { peakWorkers, perWorkerPerSecond, deferrableShare, daysMax, seed } = REPLAY_SETTINGS;

export function registerReplay(program: Command): void {
  program
    .command("replay")
    .summary("compare scaling policies on a recorded load")
    .description(
      "Drives the real forecaster, planner and reactive loop over a trace in virtual time, beside a " +
        "static fleet and policies of other systems, and prints cost, failures and utilisation; the " +
        "worst minutes of each are played again, request by request, through the real scheduler.",
    )
    .argument("<trace>", "a CSV: timestamp,count, or one row per request")
    .option("--spot <file>", "a recorded spot market; without one, a market drawn by --seed")
    .option("--peak-gpus <n>", "workers of the static fleet for the P99.9 minute", `${peakWorkers}`)
    .option("--start-up <seconds>", "from order to ready; the price book's by default")
    .option("--per-gpu <rate>", "requests/s of one worker", `${perWorkerPerSecond}`)
    .option("--kind <name>", "the price book's worker kind; its first by default")
    .option("--price-book <file>", "prices as JSON; AWS us-east-2 list prices by default")
    .option("--deferrable <share>", "of the requests, where a policy defers", `${deferrableShare}`)
    .option("--batching-gain <x>", "measured gain of batching, for the unbatched baseline")
    .option("--days <n>", "replay at most the last n days", `${daysMax}`)
    .option("--seed <n>", "for arrivals within a step, and the spot market", `${seed}`)
    .option("--policies <names>", `with commas between them: ${NAMES}`)
    .option("--duplicates <rule>", "rows of one time that differ: refuse or sum", "refuse")
    .option("--json <file>", "write a row per policy as JSON")
    .option("--report <file>", "write the table and plots as one HTML file")
    .action(runReplay);
}

function runReplay(path: string, options: Options): void {
  const policies = readPolicies(options.policies);
  const prices = readPriceBook(options.priceBook);
  const settings = readSettings(options, prices);
  const gain =
    options.batchingGain === undefined
      ? undefined
      : numberOf(options.batchingGain, "--batching-gain", 1, 1_000);
  const spot = options.spot === undefined ? undefined : readSpot(options.spot);
  const trace = readTrace(path, { duplicates: options.duplicates });
  for (const line of describeRepairs(path, trace.repairs)) console.error(line);
  const startedMs = performance.now();
  const result = replay({
    trace: trace.series,
    prices,
    settings,
    policies,
    ...(spot !== undefined && { spotTrace: spot }),
  });
  const tookSeconds = (performance.now() - startedMs) / 1_000;
  const shown = { name: basename(path), result, gain, tookSeconds };
  console.log(describeReplay(shown));
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(result.rows, null, 2)}\n`);
  }
  if (options.report !== undefined) {
    writeFileSync(options.report, replayPage(shown));
    console.log(`\nreport: ${options.report}`);
  }
}

function readSettings(options: Options, prices: PriceBook): ReplaySettings {
  const names = prices.kinds.map(({ kind }) => kind);
  const kind = prices.kinds.find((each) => each.kind === (options.kind ?? names[0]));
  if (kind === undefined) {
    throw usageError(
      `--kind ${options.kind} is not in the price book`,
      `it has ${names.join(", ")}`,
    );
  }
  const startUp = options.startUp ?? `${kind.startUpSeconds}`;
  return {
    ...REPLAY_SETTINGS,
    kind: kind.kind,
    peakWorkers: wholeOf(options.peakGpus, "--peak-gpus", 1, 1_000),
    perWorkerPerSecond: numberOf(options.perGpu, "--per-gpu", 0.01, 1_000_000),
    startUpSeconds: numberOf(startUp, "--start-up", 0, 86_400),
    deferrableShare: numberOf(options.deferrable, "--deferrable", 0, 1),
    daysMax: numberOf(options.days, "--days", 0.01, 366),
    seed: wholeOf(options.seed, "--seed", 0, 0xffff_ffff),
  };
}

function numberOf(text: string, option: string, least: number, most: number): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= least && value <= most) return value;
  throw usageError(`${option} ${text}`, `it is a number from ${least} to ${most}`);
}

function wholeOf(text: string, option: string, least: number, most: number): number {
  const value = numberOf(text, option, least, most);
  if (Number.isInteger(value)) return value;
  throw usageError(`${option} ${text}`, "it is a whole number");
}

function readPolicies(names: string | undefined): readonly Policy[] {
  if (names === undefined) return POLICIES;
  return names.split(",").map((name) => {
    const policy = POLICIES.find((each) => each.name === name.trim());
    if (policy === undefined) throw usageError(`no policy "${name}"`, `they are ${NAMES}`);
    return policy;
  });
}

/** @throws CommandError with every problem, by line */
export function readPriceBook(path: string | undefined): PriceBook {
  if (path === undefined) return DEFAULT_PRICE_BOOK;
  const book = parsePriceBook(readFileSync(path, "utf8"));
  if (book.ok) return book.value;
  const lines = book.error.map((problem) => `${path}: ${describeBookProblem(problem)}`);
  throw new CommandError(lines.join("\n"), "correct the price book; nothing was changed");
}

function readSpot(path: string): SpotTrace {
  const spot = parseSpotTrace(basename(path), readFileSync(path, "utf8"));
  if (!spot.ok) {
    const problem = `${path}: ${describeProblem(spot.error)}`;
    throw new CommandError(problem, "correct the file; nothing was changed");
  }
  for (const repair of spot.value.repairs) console.error(`${path}: ${repair}`);
  return spot.value.trace;
}
