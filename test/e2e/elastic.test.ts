/**
 * `millrace up --elastic`: a fleet of processes that follows the load of an accelerated day, from
 * its first worker on, and outlives the forecaster that asked for it.
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Up } from "../support/up.ts";

/** 480 times as fast: an hour in 7.5 s, and the first peak of the made-up day after 80 s. */
const DAY_MINUTES = "3";
const POLL_MS = 200;
const GROWN = 3;

let directory: string;
let up: Up | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-elastic-"));
});

afterAll(async () => {
  up?.child.kill("SIGTERM");
  await up?.ended;
  await rm(directory, { recursive: true, force: true });
});

/** Workers that are ready, by lifecycle, in the table that was written last. */
function readyNow(output: string): number {
  const tables = [...output.matchAll(/^on-demand +(\d+).*\nspot +(\d+)/gm)];
  const [, onDemand = "0", spot = "0"] = tables.at(-1) ?? [];
  return Number(onDemand) + Number(spot);
}

test("workers come with the load, and stay when the forecaster is lost", async () => {
  const running = new Up(directory, ["--elastic", "--day-minutes", DAY_MINUTES]);
  up = running;
  // The first worker of the fleet serves the examples: before it there was none.
  await running.wrote(/probabilities FP32 \[1,10\]/, 90_000);
  const ready = (least: number, msMax: number): Promise<void> =>
    until(() => readyNow(running.output) >= least, msMax);
  await ready(1, 60_000);
  await ready(GROWN, 150_000);
  const log = join(directory, "logs", "forecaster-1.log");
  const words = await readFile(log, "utf8");
  expect(words).toMatch(/"model":"digits".*"msg":"forecast"/);
  process.kill(Number(/"pid":(\d+)/.exec(words)?.[1]), "SIGKILL");
  await running.wrote(/forecaster-1: .* starts again/);
  const shown = running.output.length;
  await until(() => /^on-demand[^]*^spot/m.test(running.output.slice(shown)), 30_000);
  expect(readyNow(running.output)).toBeGreaterThanOrEqual(GROWN);
  running.child.kill("SIGINT");
  expect(await running.ended).toBe(0);
  expect(running.output).toContain("Everything that was started has ended.");
}, 400_000);

async function until(condition: () => boolean, msMax: number): Promise<void> {
  const lastAtMs = performance.now() + msMax;
  while (!condition()) {
    if (performance.now() > lastAtMs) throw new Error(`not in ${msMax} ms:\n${up?.output ?? ""}`);
    await sleep(POLL_MS);
  }
}
