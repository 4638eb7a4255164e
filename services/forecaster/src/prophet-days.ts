/**
 * Prophet's days for the forecaster: the day ahead of a model and, where it is to be weighed, the
 * days that it would have forecast before. A day is fitted once and kept.
 */

import type { SuppliedDay } from "@millrace/forecasting";
import { cutSeries, DAY_US, endUs, HOUR_US, resample, type Series } from "@millrace/load-facts";
import type { ProphetThread } from "@millrace/prophet";
import type { Fault } from "@millrace/protocol";
import { ok, type Result } from "@millrace/std";

/** Whether Prophet is fitted, and whether it has a part in the forecast. */
export const PROPHET_PARTS = ["off", "compare", "member"] as const;
export type ProphetPart = Exclude<(typeof PROPHET_PARTS)[number], "off">;

/** What the ensemble judges a member on. */
const JUDGED_DAYS = 14;
const HISTORY_US_MAX = 42 * DAY_US;
/** Below two days it has no season to fit. */
const HISTORY_US_MIN = 2 * DAY_US;
const HORIZON_HOURS = 24;
/** I6: by model, days that are kept: a fortnight of refits by the hour. */
const KEPT_MAX = 24 * (JUDGED_DAYS + 1);
const SECOND_US = 1_000_000;

export class ProphetDays {
  readonly #prophet: Pick<ProphetThread, "forecast">;
  readonly #part: ProphetPart;
  readonly #kept = new Map<string, Map<number, readonly number[]>>();

  constructor(prophet: Pick<ProphetThread, "forecast">, part: ProphetPart) {
    this.#prophet = prophet;
    this.#part = part;
  }

  get part(): ProphetPart {
    return this.#part;
  }

  /**
   * The day ahead first, and for a member the days before it, newest first. Empty where the history
   * is too short. Fails with what Prophet says of the day ahead.
   */
  async of(
    model: string,
    history: Series,
    signal: AbortSignal,
  ): Promise<Result<readonly SuppliedDay[], Fault>> {
    const nowUs = endUs(history);
    const days: SuppliedDay[] = [];
    const earlier = this.#part === "member" ? JUDGED_DAYS : 0;
    for (let day = 0; day <= earlier; day++) {
      const originUs = nowUs - day * DAY_US;
      if (signal.aborted || originUs - history.startUs < HISTORY_US_MIN) break;
      const hourly = await this.#day(model, history, originUs);
      if (hourly.ok) days.push({ originUs, hourly: hourly.value });
      else if (day === 0) return hourly;
    }
    return ok(days);
  }

  async #day(
    model: string,
    history: Series,
    originUs: number,
  ): Promise<Result<readonly number[], Fault>> {
    const kept = this.#kept.get(model) ?? new Map<number, readonly number[]>();
    this.#kept.set(model, kept);
    const known = kept.get(originUs);
    if (known !== undefined) return ok(known);
    const fromUs = Math.max(history.startUs, originUs - HISTORY_US_MAX);
    // Whole hours that end with the origin, wherever in an hour that is.
    const hours = Math.floor((originUs - fromUs) / HOUR_US);
    const startUs = originUs - hours * HOUR_US;
    const { values } = resample({ ...cutSeries(history, startUs, originUs), startUs: 0 }, HOUR_US);
    const fitted = await this.#prophet.forecast({
      startS: Math.round(startUs / SECOND_US),
      stepS: HOUR_US / SECOND_US,
      values,
      horizon: HORIZON_HOURS,
      mode: "multiplicative",
    });
    if (!fitted.ok) return fitted;
    kept.set(originUs, fitted.value);
    const oldest = kept.keys().next().value;
    if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest); // I6
    return fitted;
  }
}
