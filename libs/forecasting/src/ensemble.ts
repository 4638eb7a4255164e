/**
 * The ensemble: every member forecasts from every origin of the last weeks, the four that missed
 * least of late are averaged, weighted by the inverse square of what they missed. Forecasts are
 * kept by origin, so that a replay that refits every hour computes each once.
 */

import { DAY, HISTORY_HOURS_MAX, type Hours } from "./hours.ts";
import { absurdity, recentMax } from "./guard.ts";
import type { Member } from "./member.ts";
import { eventFactors, type KnownEvent } from "./events.ts";

/** Days that a member is judged on, and the age at which a day counts half. */
const JUDGED_DAYS = 14;
const HALF_LIFE_DAYS = 5;
/** Days judged below which a member's error says too little to trust it with the forecast. */
const JUDGED_DAYS_MIN = 2;
const TOP = 4;

/** One member's hours from one origin, or why they were overruled. */
type Made = Float64Array | string;

export interface Mixture {
  readonly hourly: Float64Array;
  readonly weights: Readonly<Record<string, number>>;
  readonly overruled: readonly string[];
}

export class Ensemble {
  readonly #hours: Hours;
  readonly #members: readonly Member[];
  /** What stands in, best first, where nothing has been judged; the last always speaks. */
  readonly #chain: readonly Member[];
  readonly #events: readonly KnownEvent[];
  readonly #horizon: number;
  readonly #made = new Map<number, Map<string, Made>>();

  constructor(
    hours: Hours,
    members: readonly Member[],
    chain: readonly Member[],
    options: { readonly events: readonly KnownEvent[]; readonly horizon: number },
  ) {
    this.#hours = hours;
    this.#members = members;
    this.#chain = chain;
    this.#events = options.events;
    this.#horizon = options.horizon;
  }

  /** Puts an outside forecast from `origin` beside the members', to be judged like theirs. */
  supply(name: string, origin: number, hourly: Float64Array): void {
    const plain = hourly.slice();
    this.#guarded(origin).set(name, absurdity(plain, recentMax(this.#hours, origin)) ?? plain);
  }

  /** The forecast from hour `origin`, by the weights of then. */
  mix(origin: number, names: readonly string[] = []): Mixture {
    const wanted = (name: string): boolean => names.length === 0 || names.includes(name);
    const weights = this.#weigh(origin, wanted);
    const overruled = [...this.#at(origin)]
      .filter(([name, made]) => typeof made === "string" && wanted(name))
      .map(([name, made]) => `${name}: ${String(made)}`);
    return { hourly: this.blend(origin, weights), weights, overruled };
  }

  /** The geometric mean of the weighted members from an origin; undefined weights renormalise. */
  blend(origin: number, weights: Readonly<Record<string, number>>): Float64Array {
    const made = this.#at(origin);
    const sum = new Float64Array(this.#horizon);
    let total = 0;
    for (const [name, weight] of Object.entries(weights)) {
      const hourly = made.get(name);
      if (hourly === undefined || typeof hourly === "string") continue;
      total += weight;
      for (let step = 0; step < sum.length; step++) {
        sum[step] = (sum[step] as number) + weight * Math.log1p(hourly[step] as number);
      }
    }
    if (total === 0) return this.#fallBack(origin).hourly;
    return sum.map((value) => Math.expm1(value / total));
  }

  #weigh(origin: number, wanted: (name: string) => boolean): Record<string, number> {
    const now = this.#at(origin);
    const names = [...now.keys()].filter(
      (name) => wanted(name) && typeof now.get(name) !== "string",
    );
    const only = names[0];
    if (names.length === 1 && only !== undefined) return { [only]: 1 };
    const best = this.#errors(origin, names).slice(0, TOP);
    if (best.length === 0) return { [this.#fallBack(origin).name]: 1 };
    const raw = best.map(({ error }) => 1 / Math.max(1e-6, error) ** 2);
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    return Object.fromEntries(best.map(({ name }, at) => [name, (raw[at] as number) / total]));
  }

  /**
   * Decayed error of each member, least first. Members are compared on the days that both they and
   * the first of them were judged on, so that a young member is not judged by easier days.
   */
  #errors(origin: number, names: readonly string[]): { name: string; error: number }[] {
    const days = Array.from({ length: JUDGED_DAYS }, (_, day) => origin - (day + 1) * DAY).filter(
      (from) => from > 0,
    );
    const missed = names.map((name) => days.map((from) => this.#missed(name, from)));
    const counts = missed.map((each) => each.filter((error) => error !== undefined).length);
    const most = Math.max(0, ...counts);
    const reference = missed[counts.indexOf(most)] ?? [];
    const judged: { name: string; error: number }[] = [];
    for (const [at, name] of names.entries()) {
      if ((counts[at] as number) < JUDGED_DAYS_MIN) continue;
      let own = 0;
      let theirs = 1e-9;
      for (const [day, error] of (missed[at] as readonly (number | undefined)[]).entries()) {
        const other = reference[day];
        if (error === undefined || other === undefined) continue;
        const share = 0.5 ** (day / HALF_LIFE_DAYS);
        own += share * error;
        theirs += share * other;
      }
      judged.push({ name, error: own / theirs });
    }
    return judged.sort((a, b) => a.error - b.error);
  }

  /** Sum of absolute errors over the day from an earlier origin; undefined where it made none. */
  #missed(name: string, from: number): number | undefined {
    const hourly = this.#at(from).get(name);
    if (hourly === undefined || typeof hourly === "string") return undefined;
    let sum = 0;
    for (let step = 0; step < DAY; step++) {
      if (this.#hours.counted[from + step] !== 1) continue;
      sum += Math.abs((hourly[step] as number) - (this.#hours.raw[from + step] as number));
    }
    return sum;
  }

  #at(origin: number): Map<string, Made> {
    const made = this.#guarded(origin);
    for (const member of this.#members) {
      if (origin >= member.hoursMin && !made.has(member.name)) {
        made.set(member.name, this.#run(member, origin));
      }
    }
    if (made.size === 0) {
      const { name, hourly } = this.#fallBack(origin);
      made.set(name, hourly);
    }
    return made;
  }

  #guarded(origin: number): Map<string, Made> {
    const known = this.#made.get(origin);
    if (known !== undefined) return known;
    const made = new Map<string, Made>();
    this.#made.set(origin, made);
    return made;
  }

  #fallBack(origin: number): { readonly name: string; readonly hourly: Float64Array } {
    for (const member of this.#chain) {
      if (origin < member.hoursMin) continue;
      const hourly = this.#run(member, origin);
      if (typeof hourly !== "string") {
        this.#guarded(origin).set(member.name, hourly);
        return { name: member.name, hourly };
      }
    }
    return { name: "none", hourly: new Float64Array(this.#horizon) };
  }

  #run(member: Member, origin: number): Made {
    const window = {
      hours: this.#hours,
      from: Math.max(0, origin - HISTORY_HOURS_MAX),
      to: origin,
    };
    const hourly = member.forecast(window, this.#horizon);
    const wrong = absurdity(hourly, recentMax(this.#hours, origin));
    if (wrong !== undefined) return wrong;
    const factors = eventFactors(this.#hours, origin, this.#horizon, this.#events);
    return hourly.map((value, step) => value * (factors[step] as number));
  }
}
