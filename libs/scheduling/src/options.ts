/** The scheduler's settings, all in microseconds, rows or counts. */

import { HEARTBEAT_US, FORGET_AFTER_US, SUSPECT_AFTER_US } from "@millrace/protocol";
import { RESIDENCY_DEFAULTS, type ResidencyOptions } from "@millrace/residency";

export interface SchedulerOptions {
  readonly id: string;
  readonly incarnation: number;
  readonly heartbeatUs: number;
  readonly suspectAfterUs: number;
  readonly forgetAfterUs: number;
  /** Tickets that may wait for one model. */
  readonly queueTicketsMax: number;
  /** Waiting time after which a ticket moves up a tier. */
  readonly ageAfterUs: number;
  /** Longest run of a batch whose most urgent ticket is of the tier (I4). */
  readonly sliceUsMax: readonly [realtime: number, standard: number, batch: number];
  /** Kept free between predicted finish and deadline. */
  readonly marginUs: number;
  /**
   * Kept free on top when a ticket is taken, as a share of the wait and run that are predicted: a
   * queue that ends at the deadline by prediction ends after it as often as not, and under a load
   * that keeps it so long half of what is served is late.
   */
  readonly reserve: number;
  /** Kept free in a batch of several where a body is still to be fetched from its ingress. */
  readonly fetchUs: number;
  /** A device gets its next batch this long before it is expected to be free. */
  readonly leadUs: number;
  /**
   * The same where the batch that it gets is full already: waiting longer changes nothing but who
   * is in it. Each device has its own between the two, as learned (see `lead.ts`).
   */
  readonly fullLeadUs: readonly [least: number, most: number];
  /** Batches at one device: one runs, one waits, and one more that is full may be under way. */
  readonly outstandingMax: number;
  /**
   * How long tickets wait for a first worker before they are refused as NO_DEVICE; Infinity where
   * a fleet starts one for them: they wait until their deadlines.
   */
  readonly noDeviceGraceUs: number;
  /** A model whose load came too late for a request counts as waited for so much longer. */
  readonly missedForUs: number;
  /** A batch or command that the worker's heartbeats do not know after this long is lost. */
  readonly lostAfterUs: number;
  /** A copy whose runs fail, while another is well, is tried again after so long. */
  readonly failingRetryUs: number;
  /** A device that finishes nothing for this long, and four times what it holds, is wedged. */
  readonly wedgedAfterUs: number;
  /**
   * What a byte across zones costs, in microseconds of a device that is paid for; and how long a
   * batch waits at most for a device in its caller's zone while one elsewhere is idle.
   */
  readonly crossingUsPerByte: number;
  readonly nearWaitUsMax: number;
  /** How often waiting tickets are checked against their deadlines. */
  readonly sweepUs: number;
  /** Least time between two residency plans. */
  readonly planUs: number;
  readonly residency: ResidencyOptions;
}

export const SCHEDULER_DEFAULTS: Omit<SchedulerOptions, "id" | "incarnation"> = {
  heartbeatUs: HEARTBEAT_US,
  suspectAfterUs: SUSPECT_AFTER_US,
  forgetAfterUs: FORGET_AFTER_US,
  queueTicketsMax: 8_192,
  ageAfterUs: 2_000_000,
  sliceUsMax: [1_000_000, 250_000, 50_000],
  marginUs: 1_000,
  reserve: 0.15,
  fetchUs: 20_000,
  leadUs: 1_000,
  fullLeadUs: [4_000, 24_000],
  outstandingMax: 2,
  noDeviceGraceUs: 3_000_000,
  missedForUs: 5_000_000,
  lostAfterUs: 300_000,
  failingRetryUs: 1_000_000,
  wedgedAfterUs: 1_000_000,
  crossingUsPerByte: 0.07,
  nearWaitUsMax: 5_000,
  sweepUs: 50_000,
  planUs: 5_000,
  residency: RESIDENCY_DEFAULTS,
};
