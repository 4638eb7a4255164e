/**
 * The hierarchical member: a profile by hour of day, plus day of week, plus hour of week, each
 * level shrunk towards the one above by how much noise its means carry (empirical Bayes), followed
 * by level and autoregression. With little history it is a daily profile, with much a weekly one.
 */

import { DAY, WEEK } from "../hours.ts";
import type { Member } from "../member.ts";
import { slotsOf, type Slots } from "../slots.ts";
import { extrapolate, track } from "../tracking.ts";

const HALF_LIFE_HOURS = 3 * WEEK;
/** Weights of the hours around one when its neighbours speak for it. */
const KERNEL = [1, 2, 3, 2, 1];
const KERNEL_SUM = 9;
/** Hours that a kernel is worth if they are independent: its sum squared over its squares' sum. */
const KERNEL_HOURS = 81 / 19;

export const hierarchical: Member = {
  name: "hierarchical",
  hoursMin: 2 * DAY,
  forecast(window, horizon) {
    const profile = hierarchicalProfile(slotsOf(window, HALF_LIFE_HOURS));
    return extrapolate(window, profile, track(window, profile), horizon);
  },
};

export function hierarchicalProfile(slots: Slots): Float64Array {
  const { mean, weight, noise, fade } = slots;
  const profile = new Float64Array(WEEK);
  const hourly = meansBy(slots, mean, DAY, (slot) => slot % DAY).mean;
  const afterHours = mean.map((value, slot) => value - (hourly[slot % DAY] as number));
  const daily = meansBy(slots, afterHours, 7, (slot) => Math.floor(slot / DAY));
  // Hours that wander together say less of their day than as many independent ones.
  const dayNoise = (noise * (1 + fade)) / (1 - fade);
  const daySpread = spreadBeyondNoise(daily.mean, daily.weight, dayNoise);
  const dayEffect = daily.mean.map(
    (value, day) =>
      value * believed(daySpread, dayNoise / Math.max(1e-9, daily.weight[day] as number)),
  );
  const left = new Float64Array(WEEK);
  for (let slot = 0; slot < WEEK; slot++) {
    const known = (weight[slot] as number) > 0;
    left[slot] = known
      ? (afterHours[slot] as number) - (dayEffect[Math.floor(slot / DAY)] as number)
      : 0;
  }
  const smooth = smoothed(left, weight);
  const kernelHours = 1 + (KERNEL_HOURS - 1) * (1 - fade);
  const roughness = left.map((value, slot) => value - (smooth[slot] as number));
  const smoothSpread = spreadBeyondNoise(smooth, weight, noise / kernelHours);
  const roughSpread = spreadBeyondNoise(roughness, weight, noise);
  for (let slot = 0; slot < WEEK; slot++) {
    const seen = Math.max(1e-9, weight[slot] as number);
    const above = (hourly[slot % DAY] as number) + (dayEffect[Math.floor(slot / DAY)] as number);
    profile[slot] =
      above +
      (smooth[slot] as number) * believed(smoothSpread, noise / (seen * kernelHours)) +
      (roughness[slot] as number) * believed(roughSpread, noise / seen);
  }
  return profile;
}

/** The share of a mean that is signal. */
const believed = (spread: number, noise: number): number => spread / (spread + noise + 1e-12);

function meansBy(
  { weight }: Slots,
  values: Float64Array,
  groups: number,
  groupOf: (slot: number) => number,
): { readonly mean: Float64Array; readonly weight: Float64Array } {
  const mean = new Float64Array(groups);
  const sum = new Float64Array(groups);
  for (let slot = 0; slot < WEEK; slot++) {
    const group = groupOf(slot);
    const seen = weight[slot] as number;
    mean[group] = (mean[group] as number) + seen * (values[slot] as number);
    sum[group] = (sum[group] as number) + seen;
  }
  for (let group = 0; group < groups; group++) {
    mean[group] = (mean[group] as number) / Math.max(1e-9, sum[group] as number);
  }
  return { mean, weight: sum };
}

function smoothed(values: Float64Array, weight: Float64Array): Float64Array {
  const smooth = new Float64Array(WEEK);
  for (let slot = 0; slot < WEEK; slot++) {
    if (weight[slot] === 0) continue;
    let sum = 0;
    for (let away = -2; away <= 2; away++) {
      const near = (slot + away + WEEK) % WEEK;
      sum += (KERNEL[away + 2] as number) * (values[near] as number);
    }
    smooth[slot] = sum / KERNEL_SUM;
  }
  return smooth;
}

/** Variance among the slots less the part that the noise of their means explains. */
function spreadBeyondNoise(values: Float64Array, weight: Float64Array, noise: number): number {
  let squares = 0;
  let explained = 0;
  let seen = 0;
  for (let slot = 0; slot < values.length; slot++) {
    const hours = weight[slot] as number;
    if (hours === 0) continue;
    squares += (values[slot] as number) ** 2;
    explained += noise / hours;
    seen++;
  }
  return Math.max(0, (squares - explained) / Math.max(1, seen));
}
