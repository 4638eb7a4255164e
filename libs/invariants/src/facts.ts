/**
 * What is observed of a cluster, real or simulated, from outside the parts that are judged. Facts
 * come in the order of their times, which are whole microseconds on the observer's own clock.
 */

import type { ErrorCode, Tier } from "@millrace/protocol";

/**
 * How a request ended for its client. `content` is what the answer's body was made from, `servedBy`
 * the digest of the bytes that made it, where that shows.
 */
export type Outcome =
  | { readonly ok: true; readonly content: string; readonly servedBy?: string }
  | { readonly ok: false; readonly code: ErrorCode };

export type Fact =
  /**
   * An ingress took the request. `owed`: nothing that was done to the cluster excuses a failure.
   */
  | {
      readonly type: "requestAdmitted";
      readonly request: string;
      readonly ingress: string;
      readonly deadlineUs: number;
      readonly owed: boolean;
      /** `name@version`, as the ingress resolved it. */
      readonly model?: string;
      /** Codes that would be the verdict on another's input: this one is good. */
      readonly foreign?: readonly ErrorCode[];
    }
  | { readonly type: "requestSettled"; readonly request: string; readonly outcome: Outcome }
  /** Its client went away: it needs no answer, and must not get one. */
  | { readonly type: "requestAbandoned"; readonly request: string }
  /**
   * The process is gone, and with it what it had taken: its clients saw their connections end.
   * `asked`: it was told to finish first, and ended by itself.
   */
  | { readonly type: "processEnded"; readonly process: string; readonly asked?: boolean }
  /** From now on the registry has these bytes for the model version, and no others. */
  | { readonly type: "bytesRegistered"; readonly model: string; readonly digest: string }
  /** The process runs again after standing still: what was due meanwhile is due now. */
  | { readonly type: "processResumed"; readonly process: string }
  /** A batch is at a device with all its inputs; again where its run ended and left some of it. */
  | {
      readonly type: "batchTaken";
      readonly device: string;
      readonly batch: string;
      readonly tier: Tier;
    }
  /** It ran, or was refused; the device holds it no more. */
  | { readonly type: "batchLeft"; readonly device: string; readonly batch: string }
  /**
   * The device begins to compute a batch or a part of one, which usually takes `usualUs` on the
   * fastest device of its class, as whoever cut it may believe of all of them. `sliceUs`
   * bounds that time for work of its tier, but for a request that is longer by itself. Past
   * `startByUs` the most urgent request in it was not to begin. It waits no more, but where it is
   * `partial`: more of it is to run after this.
   */
  | {
      readonly type: "runStarted";
      readonly device: string;
      readonly batch: string;
      readonly tier: Tier;
      readonly partial: boolean;
      readonly requests: number;
      readonly rows: number;
      readonly rowsMax: number;
      readonly usualUs: number;
      readonly sliceUs: number;
      readonly startByUs: number;
    }
  | { readonly type: "runEnded"; readonly device: string }
  /** A request waits at a scheduler; `tier` as its client has it. */
  | {
      readonly type: "workQueued";
      readonly work: string;
      readonly scheduler: string;
      readonly model: string;
      readonly tier: Tier;
    }
  /** Together, to a device. */
  | { readonly type: "workGiven"; readonly works: readonly string[]; readonly device: string }
  /** It was refused or cancelled before any device had it; so was what has its name and a `/`. */
  | { readonly type: "workDropped"; readonly work: string }
  | { readonly type: "workEnded"; readonly work: string; readonly device: string }
  /** From now on the device can run the model, or no longer. */
  | {
      readonly type: "modelHeld";
      readonly device: string;
      readonly model: string;
      readonly held: boolean;
    }
  | {
      readonly type: "memoryRead";
      readonly device: string;
      readonly usedBytes: number;
      readonly totalBytes: number;
    }
  /** The level of anything that has a bound. */
  | {
      readonly type: "levelRead";
      readonly process: string;
      readonly what: string;
      readonly value: number;
      readonly max: number;
    }
  /** The same after the last request has ended, when nothing may be left. */
  | {
      readonly type: "restRead";
      readonly process: string;
      readonly what: string;
      readonly value: number;
    }
  /** A job was acknowledged. `key` is its submission's, which may have been sent again. */
  | {
      readonly type: "jobAccepted";
      readonly job: string;
      readonly key: string;
      readonly items: number;
    }
  | { readonly type: "jobEnded"; readonly job: string }
  /** One line of an ended job's results; `content` as of an {@link Outcome}, `<job>/<item>`. */
  | {
      readonly type: "jobItemRead";
      readonly job: string;
      readonly item: number;
      readonly content: string | undefined;
      /** Its code, where it failed although its input is good; absent where that is not known. */
      readonly failed?: string | undefined;
    };

export type FactType = Fact["type"];
