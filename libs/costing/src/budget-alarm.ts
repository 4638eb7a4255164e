/** When a budget raises an alarm: spent, or going to be by the end of its period. */

import { MICROS } from "./price-book.ts";

export interface Budget {
  readonly micros: number;
  readonly startUs: number;
  readonly endUs: number;
}

export type AlarmLevel = "none" | "projected" | "exceeded";

export interface Alarm {
  readonly level: AlarmLevel;
  /** True where the level was lower the last time: what is worth a message. */
  readonly raised: boolean;
  readonly projectedMicros: number;
  readonly message: string;
}

const ORDER: readonly AlarmLevel[] = ["none", "projected", "exceeded"];
/** Nothing is projected from less of the period than this. */
const PROJECTED_AFTER_SHARE = 0.05;

/**
 * @param spentMicros since the budget's start.
 * @param sinceUs when money was first spent: before that there was nothing that could go on.
 * @param plannedMicros what the plan still costs until the budget's end, where there is one;
 *   without it the spending so far goes on.
 */
export function decideAlarm(
  budget: Budget,
  spentMicros: number,
  nowUs: number,
  last: AlarmLevel,
  { plannedMicros, sinceUs }: { readonly plannedMicros?: number; readonly sinceUs?: number } = {},
): Alarm {
  const lengthUs = budget.endUs - budget.startUs;
  const passed = Math.min(1, Math.max(0, (nowUs - budget.startUs) / lengthUs));
  const spendingUs = nowUs - Math.max(budget.startUs, sinceUs ?? 0);
  const isLittle = spendingUs < PROJECTED_AFTER_SHARE * lengthUs;
  const leftUs = Math.max(0, budget.endUs - nowUs);
  const goingOn = isLittle ? spentMicros : spentMicros * (1 + leftUs / spendingUs);
  const projectedMicros = Math.round(
    plannedMicros === undefined ? goingOn : spentMicros + plannedMicros,
  );
  const level = levelOf(budget, spentMicros, projectedMicros);
  const money = (micros: number): string => `$${(micros / MICROS).toFixed(2)}`;
  const message =
    `${money(spentMicros)} of ${money(budget.micros)} spent after ${(passed * 100).toFixed(0)} % of ` +
    `the period, ${money(projectedMicros)} projected`;
  return { level, raised: ORDER.indexOf(level) > ORDER.indexOf(last), projectedMicros, message };
}

function levelOf(budget: Budget, spentMicros: number, projectedMicros: number): AlarmLevel {
  if (spentMicros > budget.micros) return "exceeded";
  return projectedMicros > budget.micros ? "projected" : "none";
}
