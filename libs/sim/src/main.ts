/**
 * Runs the simulator from a command line.
 *
 *   node libs/sim/src/main.ts --seed 0x1f2e3d4c [--trace]
 *   node libs/sim/src/main.ts --seeds 2000 --from <commit> [--threads 2]
 *   node libs/sim/src/main.ts --seeds 100000 --threads 8    every night
 *
 * `--without DEFENCE` switches a defence off, which the checkers should notice. The exit status is
 * 1 when an invariant did not hold, and 2 when the arguments make no sense.
 */

import { hash32 } from "@millrace/std";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { describeFailure, describeRun, isFailure, seedName } from "./describe.ts";
import { simulate } from "./simulate.ts";
import { type Defence, DEFENCES } from "./world.ts";

const USAGE = `usage: main.ts --seed N [--trace] | --seeds N --from TEXT [--threads N]   [--without DEFENCE]...
defences: ${DEFENCES.join(" ")}`;
const PROGRESS_MS = 2_000;
/** One is enough to act on, and a few show whether they are alike. */
const FAILURES_SHOWN_MAX = 5;
const THREADS_MAX = 256;

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
        threads: { type: "string", default: "1" },
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

/** Every `of`-th seed, beginning with the `at`-th. */
interface Share {
  readonly count: number;
  readonly from: string;
  readonly without: readonly Defence[];
  readonly at: number;
  readonly of: number;
}

/** What one seed came to, as it crosses threads; `failure` is undefined where all held. */
interface Ended {
  readonly virtualUs: number;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly failure: string | undefined;
  readonly seed: number;
}

function runShare({ count, from, without, at, of }: Share, ended: (ended: Ended) => void): void {
  for (let next = at; next < count; next += of) {
    const report = simulate(hash32(`${from}/${next}`), { without });
    const { seed, virtualUs, outcomes } = report;
    const failure = isFailure(report) ? describeFailure(report) : undefined;
    ended({ seed, virtualUs, outcomes, failure });
  }
}

/** Adds up what the seeds came to, and says so while they run. */
class Tally {
  readonly #count: number;
  readonly #from: string;
  readonly #beganMs = performance.now();
  readonly #outcomes = new Map<string, number>();
  #saidMs = this.#beganMs;
  #ended = 0;
  #failed = 0;
  #virtualUs = 0;

  constructor(count: number, from: string) {
    this.#count = count;
    this.#from = from;
  }

  add({ seed, virtualUs, outcomes, failure }: Ended): void {
    this.#ended++;
    this.#virtualUs += virtualUs;
    for (const [how, times] of outcomes) {
      this.#outcomes.set(how, (this.#outcomes.get(how) ?? 0) + times);
    }
    if (failure !== undefined) {
      this.#failed++;
      print(this.#failed <= FAILURES_SHOWN_MAX ? failure : `seed ${seedName(seed)} failed too`);
    }
    const nowMs = performance.now();
    if (this.#ended === this.#count) return this.#finish(nowMs);
    if (nowMs - this.#saidMs < PROGRESS_MS) return;
    this.#saidMs = nowMs;
    const rate = ((this.#ended * 1_000) / (nowMs - this.#beganMs)).toFixed(0);
    print(`${this.#ended} of ${this.#count} seeds, ${rate} a second, ${this.#failed} failed`);
  }

  #finish(nowMs: number): void {
    const seconds = ((nowMs - this.#beganMs) / 1_000).toFixed(1);
    const answers = [...this.#outcomes].sort((a, b) => b[1] - a[1]);
    print(answers.map(([how, times]) => `${how} ${times}`).join(", "));
    const virtual = `${(this.#virtualUs / 1e6).toFixed(0)} virtual seconds in ${seconds} s`;
    print(`${this.#count} seeds of "${this.#from}": ${this.#failed} failed; ${virtual}`);
    if (this.#failed > 0) process.exitCode = 1;
  }
}

/** The seeds on so many threads: what each comes to does not depend on how many there are. */
function runMany(count: number, from: string, without: Defence[], threads: number): void {
  const tally = new Tally(count, from);
  if (threads === 1) {
    return runShare({ count, from, without, at: 0, of: 1 }, (ended) => tally.add(ended));
  }
  for (let at = 0; at < threads; at++) {
    const share: Share = { count, from, without, at, of: threads };
    const thread = new Worker(new URL(import.meta.url), { workerData: share });
    thread.on("message", (ended: Ended) => tally.add(ended));
    thread.on("error", (error) => {
      throw error;
    });
  }
}

function runCommand(): void {
  const { seed, seeds, from, trace, without, threads } = readArguments();
  const defences = readDefences(without);
  if (seed !== undefined) return runOne(readNumber(seed, "seed"), defences, trace);
  if (seeds === undefined) return refuse("--seed or --seeds is missing");
  const of = readNumber(threads, "threads");
  if (of < 1 || of > THREADS_MAX) refuse(`--threads ${threads}: 1 to ${THREADS_MAX}`);
  runMany(readNumber(seeds, "seeds"), from, defences, of);
}

if (isMainThread) runCommand();
else runShare(workerData as Share, (ended) => parentPort?.postMessage(ended, []));
