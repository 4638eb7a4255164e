/** What an ingress counts: per model and priority for Prometheus, and totals for `nats micro`. */

import type { IngressCore, IngressCounters } from "@millrace/admission";
import { type Answer, type ErrorCode, priorityOf, type Tier } from "@millrace/protocol";
import { type Count, type Distribution, LATENCY_BUCKETS_S, type Metrics } from "@millrace/runtime";
import type { ServedModel } from "./catalogue.ts";

interface Series {
  readonly total: Distribution;
  readonly queue: Distribution;
  readonly compute: Distribution;
  readonly served: Count;
}

const SECOND_US = 1_000_000;
/** A load takes a fraction of a second, a machine some minutes. */
const ZERO_BUCKETS_S = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];

export interface IngressTotals {
  requests: number;
  errors: number;
  processingUs: number;
  lastError: string | undefined;
}

export interface IngressMetrics {
  readonly totals: Readonly<IngressTotals>;
  served(model: ServedModel, tier: Tier, answer: Answer, totalUs: number): void;
  /** @param model undefined where the request did not get as far as naming one. */
  failed(model: ServedModel | undefined, code: ErrorCode, totalUs: number): void;
  /** A model that no worker held answered so long after it was first asked for. */
  cameFromZero(ref: string, us: number): void;
  /** Refused by this ingress itself, before anybody was asked. */
  refused(code: ErrorCode): void;
}

export function createIngressMetrics(metrics: Metrics): IngressMetrics {
  const time = (name: string, help: string) =>
    metrics.histogram({
      name: `millrace_ingress_${name}_seconds`,
      help,
      labels: ["model", "priority"],
      buckets: LATENCY_BUCKETS_S,
    });
  const total = time("request", "From a request's head to its answer");
  const queue = time("queue", "Of which in the scheduler's queue");
  const compute = time("compute", "Of which the batch's time on the device");
  const requests = metrics.counter({
    name: "millrace_ingress_requests_total",
    help: "Requests by outcome: OK or an error code",
    labels: ["model", "code"],
  });
  const zero = metrics.histogram({
    name: "millrace_ingress_zero_to_answer_seconds",
    help: "From the first request to a model that no worker held, to its first answer",
    labels: ["model"],
    buckets: ZERO_BUCKETS_S,
  });
  const refusals = metrics.counter({
    name: "millrace_ingress_refusals_total",
    help: "Requests that this ingress refused itself, by reason",
    labels: ["code"],
  });
  const totals: IngressTotals = {
    requests: 0,
    errors: 0,
    processingUs: 0,
    lastError: undefined,
  };
  /** Three tiers each; looked up once per model version, not per request. */
  const kept = new WeakMap<ServedModel, Series[]>();
  const seriesOf = (model: ServedModel, tier: Tier): Series => {
    let tiers = kept.get(model);
    if (tiers === undefined) {
      tiers = [];
      kept.set(model, tiers);
    }
    const labels = { model: model.ref, priority: priorityOf(tier) };
    return (tiers[tier] ??= {
      total: total.labels(labels),
      queue: queue.labels(labels),
      compute: compute.labels(labels),
      served: requests.labels({ model: model.ref, code: "OK" }),
    });
  };
  return {
    totals,
    served: (model, tier, answer, totalUs) => {
      const series = seriesOf(model, tier);
      series.total.observe(totalUs / SECOND_US);
      series.queue.observe(answer.queueUs / SECOND_US);
      series.compute.observe(answer.computeUs / SECOND_US);
      series.served.inc();
      totals.requests++;
      totals.processingUs += totalUs;
    },
    failed: (model, code, totalUs) => {
      requests.labels({ model: model?.ref ?? "", code }).inc();
      totals.requests++;
      totals.errors++;
      totals.processingUs += totalUs;
      totals.lastError = code;
    },
    cameFromZero: (model, us) => zero.labels({ model }).observe(us / SECOND_US),
    refused: (code) => refusals.labels({ code }).inc(),
  };
}

/** Figures that the core keeps, read at each scrape. */
export function showCore(metrics: Metrics, core: IngressCore): void {
  const counts: readonly (readonly [keyof IngressCounters, string, string])[] = [
    ["retries", "retries", "Tickets sent again after an error"],
    ["hedges", "hedges", "Second tickets for stragglers"],
    ["resends", "resends", "Tickets sent again for a lost scheduler or connection"],
    ["overBudget", "retries_denied", "Retries and hedges that the budget did not allow"],
    ["lateAnswers", "late_answers", "Answers to what was no longer open"],
  ];
  for (const [counter, name, help] of counts) {
    let before = 0;
    const count = metrics.counter({
      name: `millrace_ingress_${name}_total`,
      help,
      collect: () => {
        count.labels({}).inc(core.counters[counter] - before);
        before = core.counters[counter];
      },
    });
  }
}

/** A gauge that is read at each scrape. */
export function showLevel(metrics: Metrics, name: string, help: string, read: () => number): void {
  const gauge = metrics.gauge({
    name: `millrace_ingress_${name}`,
    help,
    collect: () => gauge.labels({}).set(read()),
  });
}
