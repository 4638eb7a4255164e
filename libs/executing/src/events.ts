/**
 * What the worker core is told, and what it wants done. The engine and the store are behind effects
 * that end in events; one batch runs at a time, and one model loads or unloads at a time. What is
 * to run next may be with the engine already.
 */

import type {
  AnswerFrame,
  AssignmentFrame,
  AssignmentItem,
  Command,
  Device,
  DoneFrame,
  Fault,
  ModelSpec,
  Tier,
  WorkerHeartbeat,
} from "@millrace/protocol";

/** One request's part of a batch that ran. */
export interface ItemOutput {
  /** Encoded tensors (protocol `tensors.ts`), outputs in signature order. */
  readonly body: Uint8Array;
}

export type RunResult =
  /** `outputs` stand in the order of the items that were run. */
  | { readonly ok: true; readonly outputs: readonly ItemOutput[]; readonly computeUs: number }
  /** `fatal`: the device is poisoned, and the process must end. */
  | {
      readonly ok: false;
      readonly fault: Fault;
      readonly fatal: boolean;
      readonly computeUs: number;
    };

export interface Loaded {
  /** Measured. */
  readonly bytes: number;
  /** Pairs of rows and microseconds. */
  readonly warmUs: readonly (readonly [number, number])[];
}

/** `bytes` where there was no room: what the model needs. */
export type NotLoaded = Fault & { readonly bytes?: number };

export type WorkerEvent =
  | { readonly type: "assigned"; readonly frame: AssignmentFrame }
  /** A remote body is here and complete. */
  | {
      readonly type: "bodyArrived";
      readonly ingress: string;
      readonly seq: number;
      readonly attempt: number;
      readonly body: Uint8Array;
    }
  /** The ingress has no such body any more, or it did not come in time. */
  | {
      readonly type: "bodyGone";
      readonly ingress: string;
      readonly seq: number;
      readonly attempt: number;
    }
  | { readonly type: "commanded"; readonly command: Command }
  /** With STALE_ASSIGNMENT where the run did not begin: too late, or given back. */
  | { readonly type: "runEnded"; readonly id: number; readonly result: RunResult }
  /** `device` is read after the load: what the next load may take is measured, never guessed. */
  | {
      readonly type: "loadEnded";
      readonly ref: string;
      readonly loaded: Loaded | NotLoaded;
      readonly device: Device;
    }
  | { readonly type: "unloadEnded"; readonly ref: string; readonly device: Device }
  /** A fresh reading of the device's memory. */
  | { readonly type: "deviceRead"; readonly device: Device }
  /** Nothing can run any more, and it was not a run that said so. */
  | { readonly type: "deviceLost"; readonly detail: string }
  /** A scheduler joined, or the connection is a new one: somebody may not know what is loaded. */
  | { readonly type: "audienceChanged" }
  /** The scheduler's connection or process is gone; the next one may count from the start. */
  | { readonly type: "schedulerGone"; readonly scheduler: string }
  | { readonly type: "woke" }
  /** The process is taken away at `byUs`, in the time of `step`, or may drain as long as usual. */
  | { readonly type: "drainBegan"; readonly byUs?: number };

/** A request in a batch that is run: where it came from, and its tensors, encoded. */
export interface RunItem {
  readonly item: AssignmentItem;
  readonly body: Uint8Array;
}

/** A body that stayed at its ingress, and its size. */
export interface Want {
  readonly seq: number;
  readonly attempt: number;
  readonly bytes: number;
}

export type WorkerEffect =
  /**
   * The engine has one run on and takes the next by tier, then in the order of these effects; after
   * one that is `partial`, or failed, it gives back what waits. None is to begin after its
   * `startByUs`, in the time of `step`.
   * `proof`: its outputs are for nobody; whether it runs tells a bad input from a bad device.
   */
  | {
      readonly type: "run";
      /** Of the `runEnded` that answers it. */
      readonly id: number;
      readonly tier: Tier;
      readonly startByUs: number;
      readonly spec: ModelSpec;
      readonly items: readonly RunItem[];
      readonly partial: boolean;
      readonly proof: boolean;
    }
  /** `items` stand in the order of `frame.answers`: what was answered, for metrics and logs. */
  | {
      readonly type: "answer";
      readonly ingress: string;
      readonly model: string;
      readonly items: readonly AssignmentItem[];
      readonly frame: AnswerFrame;
    }
  | { readonly type: "done"; readonly scheduler: string; readonly frame: DoneFrame }
  | { readonly type: "fetch"; readonly ingress: string; readonly wants: readonly Want[] }
  /** Fetch, verify, create the session, run every bucket once; ends in `loadEnded`. */
  | { readonly type: "load"; readonly spec: ModelSpec }
  | { readonly type: "unload"; readonly ref: string }
  | { readonly type: "beat"; readonly heartbeat: WorkerHeartbeat }
  /** Nothing is left after a drain (`drained`), or the device is lost (`poisoned`, exit 70). */
  | { readonly type: "exit"; readonly reason: "drained" | "poisoned"; readonly detail: string };
