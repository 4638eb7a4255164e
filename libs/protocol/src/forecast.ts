/** The forecast of a model as the forecaster keeps it for others to read. */

import * as v from "valibot";

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

export const forecastSchema = v.object({
  /** Start of the first step, Unix time. */
  startUs: whole,
  stepUs: v.pipe(whole, v.minValue(1)),
  /** Requests per step. */
  mean: v.array(amount),
  /** By quantile (`"0.95"`): requests per step at the rate of the hour's busiest five minutes. */
  quantiles: v.record(v.string(), v.array(amount)),
  /** The same by share of requests: what a fleet is planned for. */
  requestQuantiles: v.optional(v.record(v.string(), v.array(amount))),
  method: v.string(),
  /** Share of each member that took part. */
  weights: v.record(v.string(), v.number()),
  /** What was overruled, and why. */
  overruled: v.optional(v.array(v.string())),
  /** Expected requests per step by methods that only stand beside it. */
  compared: v.optional(v.record(v.string(), v.array(amount))),
});
