/**
 * Counters, gauges and histograms of a prom-client registry. prom-client's own look their labels up
 * in a hash built from a sorted string at each observation (0.5 us, several per request); here a
 * series is looked up once and then is a few additions.
 */

import type { Registry } from "prom-client";

export type Labels<L extends string> = Readonly<Record<L, string>>;

export interface Count {
  /** By 1, or by something not negative. */
  inc(by?: number): void;
}

export interface Level {
  set(value: number): void;
}

export interface Distribution {
  observe(value: number): void;
}

/** A metric's series by their labels' values. */
export interface Family<L extends string, S> {
  /** The series of these labels, always the same one: keep it where it is used often. */
  labels(labels: Labels<L>): S;
  /** Forgets all series, for gauges that are set afresh at every scrape. */
  clear(): void;
}

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export interface Series {
  samples(name: string, labels: Readonly<Record<string, string>>): readonly Sample[];
}

export interface FamilyOptions<L extends string> {
  /** Begins with `millrace_`, ends with the unit. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
  /** Called before each scrape. */
  readonly collect?: () => void;
}

/** Series of one metric. More share one series whose labels are all `other` (I6). */
const SERIES_MAX = 10_000;

/** Registers a metric whose series `create` makes. */
export function createFamily<L extends string, S extends Series>(
  registry: Registry,
  type: "counter" | "gauge" | "histogram",
  options: FamilyOptions<L>,
  create: () => S,
): Family<L, S> {
  const { name, help, collect } = options;
  const names = options.labels ?? [];
  const series = new Map<string, { readonly labels: Labels<L>; readonly series: S }>();
  const seriesOf = (labels: Labels<L>): S => {
    let key = "";
    for (const label of names) key += `${labels[label]}\n`;
    const known = series.get(key);
    if (known !== undefined) return known.series;
    if (series.size >= SERIES_MAX) {
      const other = Object.fromEntries(names.map((label) => [label, "other"])) as Labels<L>;
      if (names.some((label) => labels[label] !== "other")) return seriesOf(other);
    }
    const created = { labels: { ...labels }, series: create() };
    series.set(key, created);
    return created.series;
  };
  if (names.length === 0) seriesOf({} as Labels<L>);
  const metric = {
    name,
    get: async () => {
      collect?.();
      const values: Sample[] = [];
      for (const one of series.values()) values.push(...one.series.samples(name, one.labels));
      return { name, help, type, values, aggregator: "sum" };
    },
  };
  // The registry uses the name and `get`; its type asks for prom-client's own classes.
  registry.registerMetric(metric as unknown as Parameters<Registry["registerMetric"]>[0]);
  return { labels: seriesOf, clear: () => series.clear() };
}

export class CountSeries implements Count, Series {
  #value = 0;

  inc(by = 1): void {
    this.#value += by;
  }

  samples(_name: string, labels: Readonly<Record<string, string>>): readonly Sample[] {
    return [{ labels, value: this.#value }];
  }
}

export class LevelSeries implements Level, Series {
  #value = 0;

  set(value: number): void {
    this.#value = value;
  }

  samples(_name: string, labels: Readonly<Record<string, string>>): readonly Sample[] {
    return [{ labels, value: this.#value }];
  }
}

export class DistributionSeries implements Distribution, Series {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  /** `bounds` rise; a value belongs to the first bound that is not below it. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] as number)) at++;
    (this.#counts[at] as number)++;
    this.#sum += value;
  }

  samples(name: string, labels: Readonly<Record<string, string>>): readonly Sample[] {
    const samples: Sample[] = [];
    let count = 0;
    this.#counts.forEach((inBucket, at) => {
      count += inBucket;
      const le = this.#bounds[at] ?? "+Inf";
      samples.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: count });
    });
    samples.push({ metricName: `${name}_sum`, labels, value: this.#sum });
    samples.push({ metricName: `${name}_count`, labels, value: count });
    return samples;
  }
}
