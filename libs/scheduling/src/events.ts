/** What the scheduler core is told, and what it wants done. Records only: a run can be logged. */

import type {
  AssignmentFrame,
  CancelFrame,
  Command,
  DoneFrame,
  ErrorCode,
  IngressHeartbeat,
  ModelRecord,
  SchedulerHeartbeat,
  TicketFrame,
  WorkerHeartbeat,
} from "@millrace/protocol";

export type SchedulerEvent =
  | { readonly type: "ticketsArrived"; readonly frame: TicketFrame }
  | { readonly type: "cancelled"; readonly frame: CancelFrame }
  | { readonly type: "batchDone"; readonly frame: DoneFrame }
  | { readonly type: "workerBeat"; readonly heartbeat: WorkerHeartbeat }
  | { readonly type: "schedulerBeat"; readonly heartbeat: SchedulerHeartbeat }
  | { readonly type: "ingressBeat"; readonly heartbeat: IngressHeartbeat }
  /** The broker says that the connection of this name is gone: a hint, the next beat reinstates. */
  | { readonly type: "disconnected"; readonly name: string }
  /** The own connection came back: tickets of before may be lost, and nobody else knows. */
  | { readonly type: "reconnected" }
  | { readonly type: "modelChanged"; readonly record: ModelRecord }
  | { readonly type: "modelRemoved"; readonly name: string }
  /** The registry was told as a whole: from now on, a model it has not spoken of is not wanted. */
  | { readonly type: "registryRead" }
  /** The time asked for by `wakeAtUs` has come. */
  | { readonly type: "woke" }
  | { readonly type: "drainBegan" };

/** A request that ends here; the ingress decides whether to try again. */
export interface Refusal {
  readonly seq: number;
  readonly attempt: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly queuedUs: number;
}

export type SchedulerEffect =
  | { readonly type: "assign"; readonly worker: string; readonly frame: AssignmentFrame }
  | {
      readonly type: "refuse";
      readonly ingress: string;
      /** The worker process that these were lost with; empty where it was no such thing. */
      readonly lost: string;
      readonly refusals: readonly Refusal[];
    }
  | {
      readonly type: "command";
      readonly worker: string;
      readonly command: Command;
      readonly why: string;
    }
  | { readonly type: "beat"; readonly heartbeat: SchedulerHeartbeat };
