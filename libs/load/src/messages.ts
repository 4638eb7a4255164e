/** What the load's process and the one that started it tell each other. */

import type { LoadSettings, RequestEntry } from "./settings.ts";

export type LoadCommand =
  /** Gathers the references, which takes a moment, and says `ready`. */
  | { readonly op: "prepare"; readonly settings: LoadSettings }
  | { readonly op: "begin" }
  | { readonly op: "factor"; readonly value: number }
  | { readonly op: "poison"; readonly value: number }
  /** Ends the arrivals before their time. */
  | { readonly op: "stop" };

/** What is needed of a request as soon as it has ended, for guards and for progress. */
export type Ended = Omit<RequestEntry, "type">;

export type LoadReport =
  | { readonly type: "ready" }
  /** Unix microseconds of the ledger's time 0. */
  | { readonly type: "began"; readonly atUs: number }
  /** Every quarter of a second. */
  | {
      readonly type: "progress";
      readonly ended: readonly Ended[];
      readonly open: number;
      readonly jobsEnded: number;
    }
  | { readonly type: "ended" }
  | { readonly type: "failed"; readonly message: string };
