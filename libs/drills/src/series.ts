/** What the plots show: the drill second by second. */

import { type LedgerJob, type LedgerRequest, type Span, verdictOf } from "./ledger.ts";

/** What the members said at one moment, and how many requests were open. */
export interface Sample {
  readonly atUs: number;
  readonly queuedRows: number;
  readonly healthyWorkers: number;
  readonly healthySchedulers: number;
  readonly openRequests: number;
}

/** One figure for each second of the load; null where there is none. */
export type Figures = readonly (number | null)[];

export interface DrillSeries {
  /** Requests by the second in which they were to be sent. */
  readonly right: Figures;
  /** Of those that are right: sent again by their client. */
  readonly resent: Figures;
  readonly failed: Figures;
  readonly limited: Figures;
  /** Refused for want of capacity, where a drill asks for more than there is. */
  readonly shed: Figures;
  readonly poisonRefused: Figures;
  /** Milliseconds from the intended time of sending, of all that had a status. */
  readonly p50Ms: Figures;
  readonly p99Ms: Figures;
  readonly p999Ms: Figures;
  readonly maxMs: Figures;
  /** The largest of the second, and for those that should be many the smallest. */
  readonly queuedRows: Figures;
  readonly openRequests: Figures;
  readonly healthyWorkers: Figures;
  readonly healthySchedulers: Figures;
  /** Jobs until then. */
  readonly jobsSubmitted: Figures;
  readonly jobsAccepted: Figures;
  readonly jobsEnded: Figures;
}

const SECOND_US = 1_000_000;
/** A day; what is longer is cut here. */
const SECONDS_MAX = 86_400;

export function seriesOf(
  requests: readonly LedgerRequest[],
  jobs: readonly LedgerJob[],
  samples: readonly Sample[],
  endedUs: number,
  shedding: readonly Span[] = [],
): DrillSeries {
  const seconds = Math.min(SECONDS_MAX, Math.ceil(endedUs / SECOND_US));
  const zeros = (): number[] => Array.from({ length: seconds }, () => 0);
  const counts = {
    right: zeros(),
    failed: zeros(),
    limited: zeros(),
    shed: zeros(),
    "poison-refused": zeros(),
  };
  const resent = zeros();
  const latencies = Array.from({ length: seconds }, (): number[] => []);
  for (const request of requests) {
    const second = Math.floor(request.intendedUs / SECOND_US);
    const verdict = verdictOf(request, shedding);
    const count = counts[verdict];
    if (count[second] === undefined) continue;
    count[second]++;
    if (verdict === "right" && request.attempts > 1) resent[second] = (resent[second] ?? 0) + 1;
    if (request.status > 0) {
      latencies[second]?.push((request.endedUs - request.intendedUs) / 1000);
    }
  }
  const sorted = latencies.map((values) => values.sort((a, b) => a - b));
  const quantile = (share: number): Figures =>
    sorted.map((values) => rounded(values[Math.ceil(values.length * share) - 1]));
  const cumulative = (timeOf: (job: LedgerJob) => number | undefined): Figures =>
    cumulate(jobs.map(timeOf), seconds);
  return {
    right: counts.right,
    resent,
    failed: counts.failed,
    limited: counts.limited,
    shed: counts.shed,
    poisonRefused: counts["poison-refused"],
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    p999Ms: quantile(0.999),
    maxMs: quantile(1),
    queuedRows: extremes(samples, seconds, ({ queuedRows }) => queuedRows, Math.max),
    openRequests: extremes(samples, seconds, ({ openRequests }) => openRequests, Math.max),
    healthyWorkers: extremes(samples, seconds, ({ healthyWorkers }) => healthyWorkers, Math.min),
    healthySchedulers: extremes(
      samples,
      seconds,
      ({ healthySchedulers }) => healthySchedulers,
      Math.min,
    ),
    jobsSubmitted: cumulative(({ submittedUs }) => submittedUs),
    jobsAccepted: cumulative(({ acceptedUs }) => acceptedUs),
    jobsEnded: cumulative(({ endedUs: us }) => us),
  };
}

const rounded = (value: number | undefined): number | null =>
  value === undefined ? null : Math.round(value * 1000) / 1000;

function extremes(
  samples: readonly Sample[],
  seconds: number,
  read: (sample: Sample) => number,
  choose: (a: number, b: number) => number,
): Figures {
  const figures = Array.from({ length: seconds }, (): number | null => null);
  for (const sample of samples) {
    const second = Math.floor(sample.atUs / SECOND_US);
    if (second < 0 || second >= seconds) continue;
    const before = figures[second];
    const value = read(sample);
    figures[second] = before === null || before === undefined ? value : choose(before, value);
  }
  return figures;
}

function cumulate(times: readonly (number | undefined)[], seconds: number): Figures {
  const added = Array.from({ length: seconds }, () => 0);
  for (const us of times) {
    if (us === undefined) continue;
    const second = Math.min(seconds - 1, Math.floor(us / SECOND_US));
    added[second] = (added[second] ?? 0) + 1;
  }
  let sum = 0;
  return added.map((count) => (sum += count));
}
