/**
 * What the worker core is told, and what it wants done. The engine and the store are behind effects
 * that end in events; one batch runs at a time, and one model loads or unloads at a time.
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
  Resident,
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
  | { readonly type: "runEnded"; readonly result: RunResult }
  | {
      readonly type: "loadEnded";
      readonly ref: string;
      readonly loaded:
        | { readonly bytes: number; readonly warmUs: readonly (readonly [number, number])[] }
        | Fault;
    }
  | { readonly type: "unloadEnded"; readonly ref: string }
  /** A fresh reading of the device's memory. */
  | { readonly type: "deviceRead"; readonly device: Device }
  | { readonly type: "schedulerGone"; readonly scheduler: string }
  | { readonly type: "woke" }
  | { readonly type: "drainBegan" };

/** A request in a batch that is run: where it came from, and its tensors, encoded. */
export interface RunItem {
  readonly item: AssignmentItem;
  readonly body: Uint8Array;
}

export type WorkerEffect =
  | { readonly type: "run"; readonly spec: ModelSpec; readonly items: readonly RunItem[] }
  | { readonly type: "answer"; readonly ingress: string; readonly frame: AnswerFrame }
  | { readonly type: "done"; readonly scheduler: string; readonly frame: DoneFrame }
  | {
      readonly type: "fetch";
      readonly ingress: string;
      readonly wants: readonly { readonly seq: number; readonly attempt: number }[];
    }
  /** Fetch, verify, create the session, run every bucket once; ends in `loadEnded`. */
  | { readonly type: "load"; readonly spec: ModelSpec }
  | { readonly type: "unload"; readonly ref: string }
  | { readonly type: "beat"; readonly heartbeat: WorkerHeartbeat }
  /** Nothing is left to do after a drain (`drained`), or the device is lost (`poisoned`, exit 70). */
  | { readonly type: "exit"; readonly reason: "drained" | "poisoned"; readonly detail: string };

export type { Resident };
