/** What a member of the ensemble is: a pure function from hours before an origin to hours after. */

import type { Hours } from "./hours.ts";

/** The part of the hours that a member may see: [from, to), of which `to` is the origin. */
export interface Window {
  readonly hours: Hours;
  readonly from: number;
  readonly to: number;
}

export interface Member {
  readonly name: string;
  /** Hours of history below which it has nothing to say. */
  readonly hoursMin: number;
  /** Requests per hour for the `horizon` hours from the origin on; not yet guarded. */
  readonly forecast: (window: Window, horizon: number) => Float64Array;
}
