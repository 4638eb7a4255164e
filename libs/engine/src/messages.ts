/**
 * What the engine and its thread say to each other. Every question has one answer of its id. Runs
 * and their outputs cross as arrays (see `crossing.ts`), everything else as it stands here.
 */

import type { Fault, ModelSpec, Tier } from "@millrace/protocol";
import type { CrossingOutputs, CrossingRun } from "./crossing.ts";
import type { Batch } from "./merge.ts";
import type { SessionDevice } from "./session.ts";

/** Given at the thread's start; it answers `opened` or `refused`. */
export type ThreadOptions = SessionDevice;

export interface LoadMessage {
  readonly type: "load";
  readonly ref: string;
  readonly spec: ModelSpec;
  /** Moved, not copied. */
  readonly file: Uint8Array;
}

export interface UnloadMessage {
  readonly type: "unload";
  readonly ref: string;
}

/** Which of the runs that wait goes first, and until when one may begin. */
export interface RunTurn {
  readonly tier: Tier;
  /** On the clock of {@link monotonicUs}. */
  readonly startByUs: number;
  /** What waits is given back after it. */
  readonly partial: boolean;
}

/** One clock for all threads of the process; `performance.now` has an origin for each. */
export const monotonicUs = (): number => Number(process.hrtime.bigint() / 1000n);

/** The slab is moved there, and back with the answer. */
export interface RunMessage extends RunTurn, Batch {
  readonly type: "run";
  readonly ref: string;
}

export type Command = LoadMessage | UnloadMessage;

export type Question = Command | RunMessage;

export type ToThread =
  | CrossingRun
  | { readonly id: number; readonly command: Command }
  /** Finish what was asked, release every session, end. */
  | { readonly close: true };

export interface RanAnswer {
  readonly type: "ran";
  readonly computeUs: number;
  readonly slab: ArrayBuffer;
  /** Moved; it spans its buffer. Encoded bodies behind each other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where each body ends in `bytes`. */
  readonly ends: readonly number[];
}

export type ThreadAnswer =
  | {
      readonly type: "loaded";
      /** Growth of the process's memory over creating the session and warming it up. */
      readonly grownBytes: number;
      readonly warmUs: readonly (readonly [rows: number, us: number])[];
    }
  | { readonly type: "unloaded" }
  | RanAnswer
  | {
      readonly type: "failed";
      readonly fault: Fault;
      readonly fatal: boolean;
      readonly computeUs: number;
    };

export type FromThread =
  | { readonly type: "opened" }
  | { readonly type: "refused"; readonly reason: string }
  | CrossingOutputs
  | {
      readonly type: "answer";
      readonly id: number;
      readonly answer: Exclude<ThreadAnswer, RanAnswer>;
    };
