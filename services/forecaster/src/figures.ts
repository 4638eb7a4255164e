/** What a forecaster shows: to Prometheus, and to `nats micro stats`. */

import type { ElasticEffect } from "@millrace/elasticity";
import type { FleetReport } from "@millrace/fleet";
import type { Metrics } from "@millrace/runtime";

type Decided = Extract<ElasticEffect, { readonly type: "decided" }>;

export class Figures {
  readonly #decisions = new Map<string, Decided>();
  readonly #fits = { count: 0, us: 0 };
  readonly #metrics;
  #report: FleetReport | undefined;

  constructor(metrics: Metrics) {
    const gauge = (name: string, help: string, labels: readonly string[]) =>
      metrics.gauge({ name: `millrace_forecaster_${name}`, help, labels });
    this.#metrics = {
      wanted: gauge("workers_wanted", "Workers that the fleet should have", ["kind"]),
      floor: gauge("workers_floor", "Of which the plan asks for", ["kind"]),
      ready: gauge("workers_ready", "Workers that are heard and take work", ["kind"]),
      load: gauge("load_workers", "Work that arrives, in workers", ["kind"]),
      fit: gauge("fit_seconds", "Time of the last fit", ["model"]),
    };
  }

  decided(decided: Decided): void {
    this.#decisions.set(decided.kind, decided);
    const labels = { kind: decided.kind };
    this.#metrics.wanted.labels(labels).set(decided.decision.workers);
    this.#metrics.floor.labels(labels).set(decided.decision.floorWorkers);
    this.#metrics.ready.labels(labels).set(decided.ready);
    this.#metrics.load.labels(labels).set(decided.load);
  }

  fitted(model: string, us: number): void {
    this.#fits.count++;
    this.#fits.us += us;
    this.#metrics.fit.labels({ model }).set(us / 1_000_000);
  }

  kept(report: FleetReport): void {
    this.#report = report;
  }

  /** For `nats micro stats`, and for the table of `millrace up --elastic`. */
  get stats() {
    return {
      requests: this.#fits.count,
      errors: 0,
      processingUs: this.#fits.us,
      lastError: this.#report?.fault?.message,
      data: {
        kinds: [...this.#decisions.values()].map(({ decision, kind, load, queued, ready }) => ({
          kind,
          wanted: decision.workers,
          because: decision.because,
          floor: decision.floorWorkers,
          binding: decision.binding,
          ready,
          load,
          queued,
        })),
        pools: this.#report?.pools ?? [],
      },
    };
  }
}
