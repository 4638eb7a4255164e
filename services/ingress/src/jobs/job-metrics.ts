/** What an ingress counts of durable jobs: for Prometheus, and totals for `nats micro`. */

import type { JobState } from "@millrace/protocol";
import { LATENCY_BUCKETS_S, type Metrics } from "@millrace/runtime";

export interface JobTotals {
  accepted: number;
  /** Jobs whose end this ingress wrote. */
  ended: number;
  items: number;
  itemsFailed: number;
  chunksDead: number;
  webhooks: number;
}

export interface JobMetrics {
  readonly totals: Readonly<JobTotals>;
  jobAccepted(): void;
  jobEnded(state: JobState): void;
  chunkStarted(ageUs: number): void;
  chunkEnded(items: number, failed: number): void;
  chunkDied(): void;
  webhookSent(outcome: "delivered" | "failed" | "refused"): void;
}

const SECOND_US = 1_000_000;
/** Chunks wait for as long as a cluster is busy. */
const AGE_BUCKETS_S = [...LATENCY_BUCKETS_S, 30, 60, 300, 900, 3_600];

export function createJobMetrics(metrics: Metrics): JobMetrics {
  const counter = (name: string, help: string) =>
    metrics.counter({ name: `millrace_ingress_${name}_total`, help }).labels({});
  const accepted = counter("jobs_accepted", "Durable jobs that were answered with 202");
  const ended = metrics.counter({
    name: "millrace_ingress_jobs_ended_total",
    help: "Durable jobs whose end this ingress wrote, by state",
    labels: ["state"],
  });
  const items = metrics.counter({
    name: "millrace_ingress_job_items_total",
    help: "Items of durable jobs with a result",
    labels: ["outcome"],
  });
  const dead = counter("job_chunks_dead", "Chunks that were given up");
  const age = metrics
    .histogram({
      name: "millrace_ingress_job_chunk_age_seconds",
      help: "From a chunk's place in the queue to its run",
      buckets: AGE_BUCKETS_S,
    })
    .labels({});
  const webhooks = metrics.counter({
    name: "millrace_ingress_webhooks_total",
    help: "Tries of webhooks by outcome",
    labels: ["outcome"],
  });
  const totals: JobTotals = {
    accepted: 0,
    ended: 0,
    items: 0,
    itemsFailed: 0,
    chunksDead: 0,
    webhooks: 0,
  };
  return {
    totals,
    jobAccepted: () => {
      accepted.inc();
      totals.accepted++;
    },
    jobEnded: (state) => {
      ended.labels({ state }).inc();
      totals.ended++;
    },
    chunkStarted: (ageUs) => age.observe(ageUs / SECOND_US),
    chunkEnded: (count, failed) => {
      items.labels({ outcome: "done" }).inc(count - failed);
      items.labels({ outcome: "failed" }).inc(failed);
      totals.items += count;
      totals.itemsFailed += failed;
    },
    chunkDied: () => {
      dead.inc();
      totals.chunksDead++;
    },
    webhookSent: (outcome) => {
      webhooks.labels({ outcome }).inc();
      totals.webhooks++;
    },
  };
}
