/** Overrules what no load can be: a forecast is advice, and a broken one must not buy a fleet. */

/** A forecast above this many times the highest load seen lately is not believed. */
const ABSURD_FACTOR = 20;

export interface SaneRates {
  readonly rates: readonly number[];
  /** What was overruled and by what, in words; empty for a forecast that was taken as it came. */
  readonly overruled: readonly string[];
}

/**
 * @param rates as the forecaster gave them, requests per second.
 * @param last the load now, which stands for what is missing.
 * @param recentMax the highest load of the last weeks.
 */
export function saneRates(rates: readonly number[], last: number, recentMax: number): SaneRates {
  const ceiling = Math.max(1, recentMax) * ABSURD_FACTOR;
  const count = { notNumbers: 0, negative: 0, absurd: 0 };
  const sane = rates.map((rate) => {
    if (Number.isNaN(rate)) count.notNumbers++;
    else if (rate < 0) count.negative++;
    else if (rate > ceiling) count.absurd++;
    else return rate;
    return rate > ceiling ? Math.max(recentMax, last) : last;
  });
  const overruled: string[] = [];
  if (count.notNumbers > 0) {
    overruled.push(`${count.notNumbers} steps that are no numbers: the last load instead`);
  }
  if (count.negative > 0) {
    overruled.push(`${count.negative} steps below zero: the last load instead`);
  }
  if (count.absurd > 0) {
    overruled.push(
      `${count.absurd} steps above ${ABSURD_FACTOR} times the highest load: that load instead`,
    );
  }
  if (sane.length > 0 && last > 0 && sane.every((rate) => rate === 0)) {
    overruled.push("nothing at all forecast under load: the last load instead");
    return { rates: sane.map(() => last), overruled };
  }
  return { rates: sane, overruled };
}
