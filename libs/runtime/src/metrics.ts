/** Prometheus metrics of one process; every series carries its role and id. */

import { collectDefaultMetrics, Registry } from "prom-client";
import {
  type Count,
  CountSeries,
  createFamily,
  type Distribution,
  DistributionSeries,
  type Family,
  type FamilyOptions,
  type Level,
  LevelSeries,
} from "./series.ts";

/** 100 us to 10 s. */
export const LATENCY_BUCKETS_S: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/** Rows in a batch. */
export const BATCH_BUCKETS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

export interface Metrics {
  readonly registry: Registry;
  counter<const L extends string = never>(options: FamilyOptions<L>): Family<L, Count>;
  gauge<const L extends string = never>(options: FamilyOptions<L>): Family<L, Level>;
  /** Times are in seconds, as Prometheus has them. */
  histogram<const L extends string = never>(
    options: FamilyOptions<L> & { readonly buckets: readonly number[] },
  ): Family<L, Distribution>;
}

/** Node's own figures (memory, event loop, garbage collection) are there from the start. */
export function createMetrics(options: { readonly role: string; readonly id: string }): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ role: options.role, id: options.id });
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    counter: (family) => createFamily(registry, "counter", family, () => new CountSeries()),
    gauge: (family) => createFamily(registry, "gauge", family, () => new LevelSeries()),
    histogram: (family) =>
      createFamily(registry, "histogram", family, () => new DistributionSeries(family.buckets)),
  };
}
