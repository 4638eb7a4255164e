/** The load fact: what one member saw of one model and priority in one minute, or hour. */

import * as v from "valibot";
import { isName } from "@millrace/std";
import { PRIORITIES } from "./priority.ts";

const name = v.pipe(v.string(), v.check(isName));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** The amounts of a load fact, all of which add up. */
export const LOAD_AMOUNTS = [
  "arrivals",
  "served",
  "refused",
  "failed",
  "rows",
  "inputTokens",
  "outputTokens",
  "inputBytes",
  "outputBytes",
  "queueUs",
  "computeUs",
  "crossingBytes",
] as const;
export type LoadAmount = (typeof LOAD_AMOUNTS)[number];

export const loadFactSchema = v.object({
  v: v.literal(1),
  model: name,
  priority: v.picklist(PRIORITIES),
  /** Who saw it; the facts of different sources add up, a later one of the same replaces. */
  source: name,
  /** The id of the API key that asked; absent where it is not known, as for imported load. */
  tenant: v.optional(name),
  /** Of the worker that answered: what the price book calls it, else its role; absent for none. */
  kind: v.optional(name),
  /** Start of the span, Unix time; a multiple of `spanUs`. */
  atUs: whole,
  /** A minute, or an hour once rolled up. */
  spanUs: v.picklist([60_000_000, 3_600_000_000]),
  arrivals: whole,
  served: whole,
  /** Refused before any work: rate limits, full queues, deadlines that cannot be met. */
  refused: whole,
  /** Admitted, and ended in an error. */
  failed: whole,
  /** Rows of the requests that arrived; as many as requests where nobody counted. */
  rows: whole,
  inputTokens: whole,
  outputTokens: whole,
  inputBytes: whole,
  outputBytes: whole,
  /** Sums over the served requests; of a batch's time on a device each has its rows' share. */
  queueUs: whole,
  computeUs: whole,
  /** Of requests and answers between an ingress and a worker in different zones. */
  crossingBytes: v.optional(whole, 0),
});
export type LoadFact = v.InferOutput<typeof loadFactSchema>;
