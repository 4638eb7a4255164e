/** What the ingress core is told, and what it wants done. The core never holds a body. */

import type { Answer, Fault, SchedulerHeartbeat, Tier, WorkerHeartbeat } from "@millrace/protocol";

/** What one client may have; the core's own defaults hold where a client has none of its own. */
export interface ClientLimits {
  /** Requests open at the same time. */
  readonly openMax: number;
  /** Requests a second, smoothed over one second; Infinity for any rate. */
  readonly perSecondMax: number;
}

/** A request that passed authentication and validation. */
export interface Request {
  /** Whose share it uses: an API key's id, or `anonymous`. */
  readonly client: string;
  readonly limits?: ClientLimits | undefined;
  /** `name@version`, resolved and known to be served. */
  readonly model: string;
  readonly tier: Tier;
  readonly rows: number;
  readonly length: number;
  readonly shapeKey: number;
  readonly bodyBytes: number;
  readonly deadlineUs: number;
}

export type IngressEvent =
  /** `seq` is drawn by the service and unique while the request is open. */
  | { readonly type: "requestArrived"; readonly seq: number; readonly request: Request }
  | {
      readonly type: "answered";
      readonly from: string;
      readonly device: string;
      readonly answer: Answer;
    }
  /** The client closed its connection. */
  | { readonly type: "abandoned"; readonly seq: number }
  | { readonly type: "schedulerBeat"; readonly heartbeat: SchedulerHeartbeat }
  | { readonly type: "workerBeat"; readonly heartbeat: WorkerHeartbeat }
  | { readonly type: "disconnected"; readonly name: string }
  /** The broker connection of this ingress. */
  | { readonly type: "busChanged"; readonly connected: boolean }
  | { readonly type: "woke" }
  | { readonly type: "drainBegan" };

export interface Served {
  readonly answer: Answer;
  readonly from: string;
  readonly device: string;
  readonly attempts: number;
  readonly totalUs: number;
}

export interface IngressCounters {
  readonly retries: number;
  readonly hedges: number;
  /** Tickets sent again because their scheduler or the connection was lost. */
  readonly resends: number;
  /** Retries and hedges that the budget did not allow. */
  readonly overBudget: number;
  /** Answers to requests or attempts that were no longer open. */
  readonly lateAnswers: number;
}

export type IngressEffect =
  /** Send a ticket for the request; the service adds its trace and body. */
  | {
      readonly type: "send";
      readonly scheduler: string;
      readonly seq: number;
      readonly attempt: number;
      readonly hedge: boolean;
      /** A worker was lost with the request: it runs by itself. */
      readonly alone: boolean;
      readonly remainingUs: number;
      readonly request: Request;
    }
  | {
      readonly type: "cancel";
      readonly scheduler: string;
      readonly model: string;
      readonly seq: number;
    }
  /** The request's one answer. The service may drop the body. */
  | {
      readonly type: "settle";
      readonly seq: number;
      readonly outcome:
        | { readonly ok: true; readonly served: Served }
        | { readonly ok: false; readonly fault: Fault; readonly attempts: number };
    }
  /** A model that no worker held answered for the first time, so long after it was asked for. */
  | { readonly type: "cameFromZero"; readonly model: string; readonly us: number }
  | { readonly type: "exit" };
