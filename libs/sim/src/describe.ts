/** Says in text what a run was and what went wrong in it. */

import type { Scenario } from "./scenario.ts";
import type { Report } from "./simulate.ts";

const VIOLATIONS_SHOWN_MAX = 5;

export const isFailure = ({ violations, bug }: Report): boolean =>
  violations.length > 0 || bug !== undefined;

export const seedName = (seed: number): string => `0x${(seed >>> 0).toString(16).padStart(8, "0")}`;

export function describeFailure(report: Report): string {
  const { seed, violations, unreported, bug, lastEvents, scenario } = report;
  const shown = violations
    .slice(0, VIOLATIONS_SHOWN_MAX)
    .map(({ invariant, atUs, message }) => `  ${invariant} at ${atUs} us: ${message}`);
  const more = violations.length + unreported - shown.length;
  return [
    `seed ${seedName(seed)} failed; node libs/sim/src/main.ts --seed ${seedName(seed)} --trace`,
    ...shown,
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...(bug === undefined ? [] : [bug]),
    "drawn:",
    ...describeScenario(scenario).map((line) => `  ${line}`),
    "last events:",
    ...lastEvents.map((line) => `  ${line}`),
  ].join("\n");
}

export function describeRun(report: Report): string {
  const { seed, violations, virtualUs, events, requests, outcomes, incidents } = report;
  const counted = (counts: ReadonlyMap<string, number>): string =>
    [...counts].map(([what, times]) => `${what} ${times}`).join(", ");
  return [
    `seed ${seedName(seed)}: ${violations.length} violations`,
    `${requests} requests in ${(virtualUs / 1e6).toFixed(1)} virtual seconds, ${events} events`,
    `outcomes: ${counted(outcomes)}`,
    `incidents: ${counted(incidents)}`,
  ].join("\n");
}

function describeScenario(scenario: Scenario): string[] {
  return Object.entries(scenario).flatMap(([name, value]) => {
    if (name === "models" || name === "workers") {
      return (value as readonly unknown[]).map((plan) => JSON.stringify(plan));
    }
    const plain = value instanceof Map ? Object.fromEntries(value) : value;
    return [`${name} ${JSON.stringify(plain)}`];
  });
}
