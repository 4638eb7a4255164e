/** What a worker measures of itself, for Prometheus and for `nats micro stats`. */

import { PRIORITIES, type Tier, type WorkerHeartbeat } from "@millrace/protocol";
import type { WorkerEffect } from "@millrace/executing";
import {
  BATCH_BUCKETS,
  type Distribution,
  LATENCY_BUCKETS_S,
  type Metrics,
} from "@millrace/runtime";

interface ModelSeries {
  readonly rows: Distribution;
  /** By tier. */
  readonly queue: readonly Distribution[];
  readonly compute: readonly Distribution[];
}

/** Totals since the start. */
export interface WorkerTotals {
  requests: number;
  errors: number;
  runs: number;
  rows: number;
  computeUs: number;
  /** Bytes of models that came from a store in another zone. */
  crossedBytes: number;
  lastError: string | undefined;
}

export type WorkerMetrics = ReturnType<typeof createWorkerMetrics>;

export function createWorkerMetrics(metrics: Metrics) {
  const totals: WorkerTotals = {
    requests: 0,
    errors: 0,
    runs: 0,
    rows: 0,
    computeUs: 0,
    crossedBytes: 0,
    lastError: undefined,
  };
  const families = latencyFamilies(metrics);
  const answers = metrics.counter({
    name: "millrace_worker_answers_total",
    help: "Answers by error code; ok for results",
    labels: ["code"],
  });
  const loads = metrics.counter({
    name: "millrace_worker_loads_total",
    help: "Models loaded, by error code; ok for those that were",
    labels: ["code"],
  });
  const dropped = metrics.counter({
    name: "millrace_worker_dropped_total",
    help: "Messages that could not be used or sent",
    labels: ["reason"],
  });
  const crossed = metrics.counter({
    name: "millrace_worker_crossed_bytes_total",
    help: "Bytes of models fetched from a store in another zone",
  });
  const ofModel = seriesOfModels(families);
  return {
    totals,
    /** One effect is one run's or one refusal's answers for one ingress. */
    answered({ model, items, frame }: Extract<WorkerEffect, { type: "answer" }>): void {
      const series = ofModel(model);
      frame.answers.forEach(({ error, queueUs, computeUs }, at) => {
        answers.labels({ code: error ?? "ok" }).inc();
        totals.requests++;
        if (error !== undefined) {
          totals.errors++;
          totals.lastError = error;
          return;
        }
        const tier: Tier = items[at]?.tier ?? 1;
        series.queue[tier]?.observe(queueUs / 1e6);
        series.compute[tier]?.observe(computeUs / 1e6);
      });
    },
    ran(model: string, rows: number, computeUs: number): void {
      ofModel(model).rows.observe(rows);
      totals.runs++;
      totals.rows += rows;
      totals.computeUs += computeUs;
    },
    fetched(bytes: number): void {
      totals.crossedBytes += bytes;
      crossed.labels({}).inc(bytes);
    },
    loaded: (code: string): void => loads.labels({ code }).inc(),
    dropped: (reason: string, count = 1): void => dropped.labels({ reason }).inc(count),
    beat: beatGauges(metrics),
  };
}

function latencyFamilies(metrics: Metrics) {
  return {
    queue: metrics.histogram({
      name: "millrace_worker_queue_seconds",
      help: "Time from a request's arrival at the scheduler to its run",
      labels: ["model", "priority"],
      buckets: LATENCY_BUCKETS_S,
    }),
    compute: metrics.histogram({
      name: "millrace_worker_compute_seconds",
      help: "Time on the device of the run that a request was in",
      labels: ["model", "priority"],
      buckets: LATENCY_BUCKETS_S,
    }),
    rows: metrics.histogram({
      name: "millrace_worker_batch_rows",
      help: "Rows in a run",
      labels: ["model"],
      buckets: BATCH_BUCKETS,
    }),
  };
}

/** Models whose series are at hand; more are looked up each time. */
const MODELS_AT_HAND_MAX = 4_096;

/** Looks a model's series up once, and not for each request. */
function seriesOfModels(families: ReturnType<typeof latencyFamilies>) {
  const known = new Map<string, ModelSeries>();
  return (model: string): ModelSeries => {
    let series = known.get(model);
    if (series === undefined) {
      if (known.size >= MODELS_AT_HAND_MAX) known.clear(); // I6
      series = {
        rows: families.rows.labels({ model }),
        queue: PRIORITIES.map((priority) => families.queue.labels({ model, priority })),
        compute: PRIORITIES.map((priority) => families.compute.labels({ model, priority })),
      };
      known.set(model, series);
    }
    return series;
  };
}

function beatGauges(metrics: Metrics) {
  const memory = metrics.gauge({
    name: "millrace_worker_device_memory_bytes",
    help: "The device's memory",
    labels: ["kind"],
  });
  const gauge = (name: string, help: string) => metrics.gauge({ name, help }).labels({});
  const held = gauge("millrace_worker_held_batches", "Batches held, running or waiting");
  const backlog = gauge("millrace_worker_backlog_seconds", "Estimated time until all are done");
  const models = gauge("millrace_worker_models", "Models on the device");
  const [total, free] = [memory.labels({ kind: "total" }), memory.labels({ kind: "free" })];
  return (heartbeat: WorkerHeartbeat): void => {
    total.set(heartbeat.device.memoryTotalBytes);
    free.set(heartbeat.device.memoryFreeBytes);
    held.set(heartbeat.inFlight);
    backlog.set(heartbeat.backlogUs / 1e6);
    if (heartbeat.models !== undefined) models.set(heartbeat.models.length);
  };
}
