/** What the engine and its thread say to each other. Every question has one answer of its id. */

import type { Fault, ModelSpec, Tier } from "@millrace/protocol";
import type { BatchInput } from "./merge.ts";
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

export interface RunMessage extends RunTurn {
  readonly type: "run";
  readonly ref: string;
  /** Moved there, and back with the answer. */
  readonly slab: ArrayBuffer;
  readonly inputs: readonly BatchInput[];
  readonly rows: number;
  readonly length: number;
  /** Rows and length per item, in pairs. */
  readonly items: Int32Array;
}

export type Question = LoadMessage | UnloadMessage | RunMessage;

export type ToThread =
  | { readonly id: number; readonly question: Question }
  /** Finish what was asked, release every session, end. */
  | { readonly close: true };

export type ThreadAnswer =
  | {
      readonly type: "loaded";
      /** Growth of the process's memory over creating the session and warming it up. */
      readonly grownBytes: number;
      readonly warmUs: readonly (readonly [rows: number, us: number])[];
    }
  | { readonly type: "unloaded" }
  | {
      readonly type: "ran";
      readonly computeUs: number;
      readonly slab: ArrayBuffer;
      /** Moved. Encoded bodies behind each other, and where each ends. */
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly ends: Int32Array;
    }
  | {
      readonly type: "failed";
      readonly fault: Fault;
      readonly fatal: boolean;
      readonly computeUs: number;
    };

export type FromThread =
  | { readonly type: "opened" }
  | { readonly type: "refused"; readonly reason: string }
  | { readonly type: "answer"; readonly id: number; readonly answer: ThreadAnswer };
