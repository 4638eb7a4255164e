/**
 * The smooth members: a ridge regression of the week's slot means on daily and weekly waves,
 * followed by level and autoregression. The ridge is the prior that a wave is the weaker the faster
 * it is, against the noise at the wave's own frequency: hours that wander together look like slow
 * waves.
 */

import { DAY, WEEK } from "../hours.ts";
import type { Member } from "../member.ts";
import { slotsOf, type Slots } from "../slots.ts";
import { extrapolate, track } from "../tracking.ts";

interface Waves {
  /** Values of every wave in every slot: row per slot. */
  readonly values: Float64Array;
  /** Expected variance of a wave's amplitude as a share of the season's. */
  readonly prior: Float64Array;
  /** Turns of each wave in a week. */
  readonly turns: Float64Array;
  readonly count: number;
}

const MANY = wavesOf(8, 13);
const MANY_DAILY = wavesOf(8, 0);
const FEW = wavesOf(3, 4);
const FEW_DAILY = wavesOf(3, 0);

/** Waves of up to eight a day and thirteen a week. */
export const fourier: Member = fourierMember("fourier", MANY, MANY_DAILY, 3 * WEEK);
/** Waves of up to three a day and four a week: what noisy or short histories can carry. */
export const fourierSmooth: Member = fourierMember("fourier-smooth", FEW, FEW_DAILY, 2 * WEEK);

function fourierMember(name: string, weekly: Waves, daily: Waves, halfLifeHours: number): Member {
  return {
    name,
    hoursMin: 2 * DAY,
    forecast(window, horizon) {
      // Before a week is seen, its waves would be drawn through days that nobody has seen.
      const waves = window.to - window.from < WEEK + DAY ? daily : weekly;
      const profile = ridgeProfile(slotsOf(window, halfLifeHours), waves);
      return extrapolate(window, profile, track(window, profile), horizon);
    },
  };
}

function wavesOf(perDay: number, perWeek: number): Waves {
  const waves: { readonly turns: number; readonly prior: number }[] = [{ turns: 0, prior: 1 }];
  for (let turns = 1; turns <= perDay; turns++)
    waves.push({ turns: 7 * turns, prior: turns ** -2 });
  for (let turns = 1; turns <= perWeek; turns++) {
    if (turns % 7 !== 0) waves.push({ turns, prior: 0.25 / (1 + (turns / 7) ** 2) });
  }
  const count = 2 * waves.length - 1;
  const values = new Float64Array(WEEK * count);
  const prior = new Float64Array(count);
  const turns = new Float64Array(count);
  let column = 0;
  for (const wave of waves) {
    const shapes = wave.turns === 0 ? [Math.cos] : [Math.cos, Math.sin];
    for (const shape of shapes) {
      prior[column] = wave.prior;
      turns[column] = wave.turns;
      for (let slot = 0; slot < WEEK; slot++) {
        values[slot * count + column] = shape((2 * Math.PI * wave.turns * slot) / WEEK);
      }
      column++;
    }
  }
  return { values, prior, turns, count };
}

function ridgeProfile({ mean, weight, noise, fade }: Slots, waves: Waves): Float64Array {
  const { values, prior, turns, count } = waves;
  let squares = 0;
  for (let slot = 0; slot < WEEK; slot++) squares += (mean[slot] as number) ** 2;
  const season = Math.max(1e-6, squares / WEEK);
  const gram = new Float64Array(count * count);
  const target = new Float64Array(count);
  for (let slot = 0; slot < WEEK; slot++) {
    const seen = weight[slot] as number;
    if (seen === 0) continue;
    const row = slot * count;
    const average = mean[slot] as number;
    for (let a = 0; a < count; a++) {
      const scaled = seen * (values[row + a] as number);
      target[a] = (target[a] as number) + scaled * average;
      for (let b = row, cell = a * count; b <= row + a; b++, cell++) {
        gram[cell] = (gram[cell] as number) + scaled * (values[b] as number);
      }
    }
  }
  for (let a = 0; a < count; a++) {
    const noiseHere = noise * spectrum(fade, (2 * Math.PI * (turns[a] as number)) / WEEK);
    const ridge = noiseHere / (season * (prior[a] as number));
    gram[a * count + a] = (gram[a * count + a] as number) + ridge + 1e-9;
  }
  const amplitude = solve(gram, target, count);
  const profile = new Float64Array(WEEK);
  for (let slot = 0; slot < WEEK; slot++) {
    let sum = 0;
    for (let a = 0; a < count; a++) {
      sum += (amplitude[a] as number) * (values[slot * count + a] as number);
    }
    profile[slot] = sum;
  }
  return profile;
}

/** Power of first-order autoregressive noise at a frequency, as a multiple of its variance. */
const spectrum = (fade: number, radians: number): number =>
  (1 - fade * fade) / (1 - 2 * fade * Math.cos(radians) + fade * fade);

/** Solves a positive definite system of which `matrix` has the lower half (Cholesky), in place. */
function solve(matrix: Float64Array, target: Float64Array, count: number): Float64Array {
  const at = (row: number, column: number): number => matrix[row * count + column] as number;
  for (let row = 0; row < count; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = at(row, column);
      for (let k = 0; k < column; k++) sum -= at(row, k) * at(column, k);
      matrix[row * count + column] =
        row === column ? Math.sqrt(Math.max(1e-12, sum)) : sum / at(column, column);
    }
  }
  const solution = target.slice();
  for (let row = 0; row < count; row++) {
    let sum = solution[row] as number;
    for (let k = 0; k < row; k++) sum -= at(row, k) * (solution[k] as number);
    solution[row] = sum / at(row, row);
  }
  for (let row = count - 1; row >= 0; row--) {
    let sum = solution[row] as number;
    for (let k = row + 1; k < count; k++) sum -= at(k, row) * (solution[k] as number);
    solution[row] = sum / at(row, row);
  }
  return solution;
}
