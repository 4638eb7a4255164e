/** The ingress core's bounds and their defaults. */

import { ATTEMPTS_MAX, FORGET_AFTER_US, SUSPECT_AFTER_US } from "@millrace/protocol";
import type { ClientLimits } from "./events.ts";

export interface IngressOptions {
  readonly suspectAfterUs: number;
  readonly forgetAfterUs: number;
  /** Open requests, and the bytes of their bodies. */
  readonly openMax: number;
  readonly openBytesMax: number;
  readonly clientLimits: ClientLimits;
  /** First ticket, retries and hedge together; not what is re-sent for a lost scheduler. */
  readonly attemptsMax: number;
  /** Tickets of one request, those re-sent included; the attempt is one byte on the wire. */
  readonly ticketsMax: number;
  /** The same input is not given to more workers than this that end with it. */
  readonly workersLostMax: number;
  /** Workers that end within this time of each other may have ended of one cause. */
  readonly commonCauseUs: number;
  /** The ends of others are known this long after a loss, and then the verdict is given. */
  readonly verdictAfterUs: number;
  /** Retries and hedges earned by each admitted request. */
  readonly retryShare: number;
  /** Retries and hedges free of that each second: few requests earn too little to retry. */
  readonly retryPerSecond: number;
  /**
   * The most that is saved up: a lost worker fails all that it holds at once, and those retries are
   * no storm, because what it held was not done.
   */
  readonly retryBurst: number;
  /** Doubles with each retry of a request, up to the maximum; the delay is uniform below it. */
  readonly backoffUs: number;
  readonly backoffUsMax: number;
  /** A hedge goes out after this many times the slowest of the model's recent answers. */
  readonly hedgeFactor: number;
  readonly hedgeAfterUsMin: number;
  /** Answers that a model must have had before it is hedged. */
  readonly hedgeSamplesMin: number;
}

export const INGRESS_DEFAULTS: IngressOptions = {
  suspectAfterUs: SUSPECT_AFTER_US,
  forgetAfterUs: FORGET_AFTER_US,
  openMax: 8192,
  openBytesMax: 512 * 1024 * 1024,
  clientLimits: { openMax: 4096, perSecondMax: Infinity },
  attemptsMax: ATTEMPTS_MAX,
  ticketsMax: 64,
  workersLostMax: 2,
  commonCauseUs: 1_000_000,
  verdictAfterUs: 150_000,
  retryShare: 0.1,
  retryPerSecond: 10,
  retryBurst: 1000,
  backoffUs: 5_000,
  backoffUsMax: 100_000,
  hedgeFactor: 3,
  hedgeAfterUsMin: 60_000,
  hedgeSamplesMin: 20,
};
