/**
 * Forms the best batch for a device that is about to be free, and says whether waiting would pay.
 *
 * A batch grows in the queue's order while it stays inside the model's row limit, while every
 * ticket in it still meets its deadline, and while it stays inside its tier's slice. Tickets that
 * can no longer meet their deadline even alone are dropped here, which is when that becomes known
 * (Clockwork, OSDI 2020; Nexus, SOSP 2019, "early drop").
 */

import type { Tier } from "@millrace/protocol";
import type { Profile } from "./profile.ts";
import type { ModelQueue, Queued } from "./queue.ts";

export interface BatchLimits {
  /** Rows in one run, at least 1. */
  readonly rowsMax: number;
  /** Longest run per tier, so that what is more urgent never waits behind more than this (I4). */
  readonly sliceUsMax: readonly [realtime: number, standard: number, batch: number];
  /** Kept free between the predicted finish and the deadline, for the way back. */
  readonly marginUs: number;
  /** Kept free in a batch of several where a body is still to be fetched from its ingress. */
  readonly fetchUs: number;
}

/** A batch of which a third or more would be padding is not worth forming. */
const PADDED_SHARE_MAX = 1.5;
/** How many tickets that do not fit a batch are passed over before it goes as it is. */
const PASSED_OVER_MAX = 64;

export interface Formed {
  readonly entries: readonly Queued[];
  readonly rows: number;
  /** The most urgent tier in the batch. */
  readonly tier: Tier;
  /** What it is expected to take. */
  readonly meanUs: number;
  /** The latest moment at which the batch is expected to meet every deadline in it. */
  readonly latestStartUs: number;
  /** Taken from the queue because this device cannot finish them in time, with their places. */
  readonly missed: readonly Placed[];
}

export interface Placed {
  readonly entry: Queued;
  readonly tier: Tier;
}

interface Growing {
  readonly entries: Queued[];
  rows: number;
  length: number;
  lengths: number;
  deadlineUs: number;
  remote: boolean;
}

/**
 * Takes a batch out of the queue for a device that can start it at `startUs`.
 * A ticket that is to run alone is a batch of its own.
 * @param only `batch`: of what was sent as batch, however much waits that is more urgent.
 * @returns entries in the order of the queue; none when nothing fits or `accepts` refuses the head.
 */
export function formBatch(
  queue: ModelQueue,
  profile: Profile,
  limits: BatchLimits,
  nowUs: number,
  startUs: number,
  accepts: (entry: Queued) => boolean,
  only?: "batch",
): Formed {
  queue.age(nowUs);
  const batchWork = only === "batch" ? queue.batchWork() : undefined;
  let at = 0;
  const take = (entry: Queued): void => {
    if (batchWork === undefined) queue.pop();
    else queue.remove(entry);
    at++;
  };
  const missed: Placed[] = [];
  const passedOver: Placed[] = [];
  const batch: Growing = {
    entries: [],
    rows: 0,
    length: 0,
    lengths: 0,
    deadlineUs: Infinity,
    remote: false,
  };
  let tier: Tier = 2;
  const startByUs = startUs + limits.marginUs;
  while (batch.rows < limits.rowsMax && passedOver.length < PASSED_OVER_MAX) {
    const head = batchWork === undefined ? queue.peek() : batchWork[at];
    if (head === undefined) break;
    const headTier = head.tier as Tier;
    // Before its deadline: what is not for this device says nothing of the ticket's chances.
    if (batch.entries.length === 0 && !accepts(head)) {
      take(head);
      passedOver.push({ entry: head, tier: headTier });
      continue;
    }
    if (startByUs + profile.meanUs(head.ticket.rows) > head.deadlineUs) {
      take(head);
      missed.push({ entry: head, tier: headTier });
      continue;
    }
    if (batch.entries.length === 0) {
      tier = headTier;
    } else if (!joins(batch, head, tier, profile, limits, startByUs) || !accepts(head)) {
      if (!fits(batch, head)) {
        take(head);
        passedOver.push({ entry: head, tier: headTier });
        continue;
      }
      break;
    }
    take(head);
    add(batch, head);
    if (head.ticket.alone) break;
  }
  for (const { entry, tier: place } of passedOver) queue.restore(entry, place);
  const { entries, rows } = batch;
  const meanUs = entries.length === 0 ? 0 : profile.meanUs(rows);
  // By the time that admits to the batch: a stricter one would forbid the start that is planned.
  const latestStartUs = batch.deadlineUs - limits.marginUs - meanUs;
  return { entries, rows, tier, meanUs, latestStartUs, missed };
}

function add(batch: Growing, entry: Queued): void {
  const { rows, length } = entry.ticket;
  batch.entries.push(entry);
  batch.rows += rows;
  batch.length = Math.max(batch.length, length);
  batch.lengths += rows * length;
  batch.deadlineUs = Math.min(batch.deadlineUs, entry.deadlineUs);
  batch.remote ||= entry.ticket.remote;
}

/** Same shape, and the padding that sharing costs is bounded. */
function fits(batch: Growing, entry: Queued): boolean {
  const first = (batch.entries[0] as Queued).ticket;
  const { rows, length, shapeKey } = entry.ticket;
  if (shapeKey !== first.shapeKey || entry.ticket.alone) return false;
  if (length === 0) return true;
  const padded = (batch.rows + rows) * Math.max(batch.length, length);
  return padded <= PADDED_SHARE_MAX * (batch.lengths + rows * length);
}

/** I3, and every deadline and the slice hold for the batch that the entry would make. */
function joins(
  batch: Growing,
  entry: Queued,
  tier: Tier,
  profile: Profile,
  limits: BatchLimits,
  startByUs: number,
): boolean {
  const rows = batch.rows + entry.ticket.rows;
  if (rows > limits.rowsMax || !fits(batch, entry)) return false;
  const us = profile.meanUs(rows);
  // I4: what has moved up is before others by then, and no longer in their way for it.
  const sentAs = (batch.entries[0] as Queued).ticket.tier;
  if (us > limits.sliceUsMax[tier > sentAs ? tier : sentAs]) return false;
  const fetchUs = batch.remote || entry.ticket.remote ? limits.fetchUs : 0;
  return startByUs + fetchUs + us <= Math.min(batch.deadlineUs, entry.deadlineUs);
}

/**
 * How much longer a device that is free should wait for company, in microseconds; 0 to start now.
 *
 * With n rows here, and k more expected in g microseconds, waiting costs each of the n the time
 * g + t(n + k) - t(n) and saves each of the k the time t(n) + t(k) - g - t(n + k), which they would
 * otherwise spend behind the batch of n. Wait when the sum of what is saved exceeds the sum of what
 * it costs: the same objective as BentoML's dispatcher, on measured times instead of a fitted line.
 */
export function worthWaitingUs(
  profile: Profile,
  rows: number,
  rowsMax: number,
  expected: { readonly rows: number; readonly gapUs: number },
): number {
  const { gapUs } = expected;
  const more = Math.min(Math.round(expected.rows), rowsMax - rows);
  if (more <= 0 || !profile.known || !Number.isFinite(gapUs)) return 0;
  const alone = profile.meanUs(rows);
  const together = profile.meanUs(rows + more);
  const saved = more * (alone + profile.meanUs(more) - gapUs - together);
  const cost = rows * (gapUs + together - alone);
  return saved > cost ? gapUs : 0;
}
