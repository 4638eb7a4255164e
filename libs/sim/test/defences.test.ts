/** The checkers can fail: without a defence, the cluster breaks the invariant that it upholds. */

import type { InvariantId } from "@millrace/invariants";
import { hash32 } from "@millrace/std";
import { describe, expect, test } from "vitest";
import {
  type Defence,
  drawScenario,
  type Incident,
  type Report,
  type Scenario,
  simulate,
} from "../src/index.ts";

interface Case {
  readonly without: readonly Defence[];
  readonly breaks: InvariantId;
  /** Makes what the defence is for more frequent; undefined to take another seed. */
  readonly change?: (drawn: Scenario) => Partial<Scenario> | undefined;
}

const only = (kind: Incident, meanUs: number): Pick<Scenario, "incidents"> => ({
  incidents: new Map([[kind, meanUs]]),
});
const busy = (): Partial<Scenario> => ({ rate: 500 });
const SECOND_US = 1_000_000;

const CASES: readonly Case[] = [
  {
    without: ["retry"],
    breaks: "I7",
    change: ({ gentle }) =>
      gentle
        ? { ...only("workerCrash", 300_000), noticed: 1, owedUsMin: SECOND_US, rate: 250 }
        : undefined,
  },
  {
    without: ["suspicion"],
    breaks: "I7",
    change: ({ gentle }) =>
      gentle ? { ...only("schedulerCrash", 300_000), noticed: 0, owedUsMin: SECOND_US } : undefined,
  },
  {
    without: ["wedgeWatch"],
    breaks: "I7",
    change: ({ gentle }) =>
      gentle ? { ...only("hang", 300_000), owedUsMin: 3 * SECOND_US } : undefined,
  },
  {
    without: ["reconciliation"],
    breaks: "I7",
    change: ({ gentle, network }) => (gentle ? undefined : { network: { ...network, loss: 0.05 } }),
  },
  { without: ["ownSequence"], breaks: "I2", change: () => only("ingressCrash", 200_000) },
  { without: ["ownOutput"], breaks: "I2" },
  { without: ["oneSettle"], breaks: "I1" },
  { without: ["latestStart"], breaks: "I4", change: busy },
  { without: ["slices"], breaks: "I4", change: busy },
  { without: ["tierOrder"], breaks: "I4", change: busy },
  // Either is enough: the scheduler loads what fits, and the worker refuses what does not.
  {
    without: ["freeMemory", "memoryGuard"],
    breaks: "I3",
    change: ({ gentle, models }) => (!gentle && models.length > 5 ? {} : undefined),
  },
  { without: ["batchLimit"], breaks: "I3" },
  {
    without: ["queueLimit"],
    breaks: "I6",
    change: () => ({ openMax: 50, queueTicketsMax: 40, rate: 500 }),
  },
];

const SEEDS_MAX = 1_000;

/** The first run that breaks something, or the number of runs that did not. */
function firstBroken({ without, change }: Case): Report | number {
  let runs = 0;
  for (let at = 0; at < SEEDS_MAX; at++) {
    const seed = hash32(`defence/${at}`);
    const drawn = drawScenario(seed);
    const changed = change === undefined ? {} : change(drawn);
    if (changed === undefined) continue;
    const report = simulate(seed, { without, scenario: { ...drawn, ...changed } });
    runs++;
    if (report.violations.length > 0) return report;
  }
  return runs;
}

describe("a cluster without", () => {
  test.each(CASES)("$without breaks $breaks, and only without it", (tried) => {
    const broken = firstBroken(tried);
    if (typeof broken === "number") throw new Error(`${broken} runs broke nothing`);
    const { seed, scenario, violations } = broken;
    expect(violations.map(({ invariant }) => invariant)).toContain(tried.breaks);
    expect(simulate(seed, { scenario })).toMatchObject({ violations: [], bug: undefined });
  });
});
