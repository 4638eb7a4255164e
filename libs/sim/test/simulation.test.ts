/** A handful of seeds on every test run; many more are run by the command in `src/main.ts`. */

import { hash32 } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { describeFailure, isFailure } from "../src/describe.ts";
import { drawScenario, simulate } from "../src/index.ts";

const SEEDS = Array.from({ length: 30 }, (_, at) => hash32(`test/${at}`));

/** Everything that happens in a run, in lines. */
function linesOf(seed: number): string[] {
  const lines: string[] = [];
  simulate(seed, { print: (line) => lines.push(line) });
  return lines;
}

describe("a simulated cluster", () => {
  test.each(SEEDS)("holds its invariants with seed %i", (seed) => {
    const report = simulate(seed);
    expect(isFailure(report) ? describeFailure(report) : "").toBe("");
    expect(report.requests).toBeGreaterThan(0);
    expect(report.outcomes.get("ok") ?? 0).toBeGreaterThan(0);
  });

  test("does the same again with the same seed", () => {
    const lines = linesOf(7);
    expect(lines.length).toBeGreaterThan(100);
    expect(linesOf(7)).toEqual(lines);
    expect(linesOf(8)).not.toEqual(lines);
  });
});

describe("the seeds", () => {
  const scenarios = Array.from({ length: 300 }, (_, at) => drawScenario(hash32(`drawn/${at}`)));

  test("leave each kind of fault out of some runs, and bring each into some", () => {
    const rates = (pick: (scenario: (typeof scenarios)[number]) => number): void => {
      expect(scenarios.filter((scenario) => pick(scenario) === 0).length).toBeGreaterThan(20);
      expect(scenarios.filter((scenario) => pick(scenario) > 0).length).toBeGreaterThan(20);
    };
    rates(({ network }) => network.loss);
    rates(({ network }) => network.duplication);
    rates(({ network }) => network.reordering);
    rates(({ poison }) => poison);
    rates(({ fatal }) => fatal);
    rates(({ loadFails }) => loadFails);
    rates(({ incidents }) => (incidents.has("workerCrash") ? 1 : 0));
    rates(({ incidents }) => (incidents.has("partition") ? 1 : 0));
    rates(({ incidents }) => (incidents.has("brokerRestart") ? 1 : 0));
  });

  test("give every model a device that it fits, and often more models than fit", () => {
    let crowded = 0;
    for (const { models, workers } of scenarios) {
      const memory = Math.max(...workers.map(({ memoryBytes }) => memoryBytes));
      for (const { loadedBytes } of models) expect(loadedBytes).toBeLessThanOrEqual(memory);
      const all = models.reduce((sum, { loadedBytes }) => sum + loadedBytes, 0);
      if (all > memory) crowded++;
    }
    expect(crowded).toBeGreaterThan(25);
  });
});
