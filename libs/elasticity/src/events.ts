/** What the elastic loop is told and what it wants done. Times are microseconds of one clock. */

import type { Lifecycle } from "@millrace/costing";
import type { Forecast } from "@millrace/forecasting";
import type { Decision, Plan } from "@millrace/planning";
import type { Timed } from "./capacity.ts";

export interface Pool {
  readonly kind: string;
  readonly zone: string;
  readonly lifecycle: Lifecycle;
}

/** A model on a worker, with the times that were measured there. */
export interface ResidentTimes {
  readonly ref: string;
  readonly bytes: number;
  readonly times: readonly Timed[];
}

/** A forecast, and what was counted before it. */
export interface Foretold {
  readonly forecast: Forecast;
  /** Mean rows of a request, as counted. */
  readonly rowsPerRequest: number;
  /** Requests a second: those of the last steps, and the most of the history. */
  readonly lastPerSecond: number;
  readonly mostPerSecond: number;
}

export type ElasticEvent =
  /** A worker's heartbeat; `pool` as it says itself. */
  | {
      readonly type: "workerHeard";
      readonly id: string;
      readonly pool: Pool;
      readonly ready: boolean;
      /** Left out where the list did not change. */
      readonly residents?: readonly ResidentTimes[];
    }
  | { readonly type: "workerLost"; readonly id: string }
  /** What the scheduler that owns the models sees of them now: those with work or arrivals. */
  | {
      readonly type: "loadsHeard";
      readonly scheduler: string;
      readonly loads: readonly {
        readonly ref: string;
        readonly rowsPerSecond: number;
        readonly queuedRows: number;
        /** Of both, what was sent as batch. */
        readonly batch?: { readonly rowsPerSecond: number; readonly queuedRows: number };
      }[];
    }
  /** Jobs that are not done, all of them; `items` of each are left. */
  | {
      readonly type: "jobsHeard";
      readonly jobs: readonly {
        readonly model: string;
        readonly items: number;
        readonly acceptedAtUs: number;
      }[];
    }
  | ({
      readonly type: "forecastMade";
      readonly model: string;
      /** Of the model's batch work, where it may wait: the rest of the event is without it then. */
      readonly batch?: Foretold;
    } & Foretold)
  /** A pool did not give what was asked of it, this time; `held` are there, or on their way. */
  | { readonly type: "poolRefused"; readonly pool: Pool; readonly held: number }
  /** Acting begins, for the first time or after another acted. */
  | { readonly type: "leaseTaken" }
  | { readonly type: "woke" };

export type ElasticEffect =
  | { readonly type: "want"; readonly pool: Pool; readonly count: number }
  /** All models unless some are named: those that have no forecast yet. */
  | { readonly type: "refit"; readonly models?: readonly string[] }
  | { readonly type: "planned"; readonly plan: Plan }
  /** A forecast is not believed, for other reasons than before; without any it is again. */
  | { readonly type: "overruled"; readonly model: string; readonly reasons: readonly string[] }
  | {
      readonly type: "decided";
      readonly kind: string;
      readonly decision: Decision;
      /** Workers' worth of work a second that arrives, and workers' seconds that wait. */
      readonly load: number;
      readonly queued: number;
      readonly ready: number;
    };
