/**
 * The ledger's entry: what ran in one minute, or in a part of it. What it was used for is in the
 * load facts.
 */

import * as v from "valibot";
import { isName } from "@millrace/std";
import { LIFECYCLES } from "./heartbeat.ts";

const name = v.pipe(v.string(), v.check(isName));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const ledgerEntrySchema = v.object({
  v: v.literal(1),
  /** Start of the span, Unix time; a multiple of `spanUs`. */
  atUs: whole,
  spanUs: v.literal(60_000_000),
  kind: name,
  zone: name,
  lifecycle: v.picklist(LIFECYCLES),
  /** Time that workers of this kind, zone and lifecycle were there, in all. */
  workerUs: whole,
  /** Of models that they fetched from a store in another zone. */
  crossingBytes: v.optional(whole, 0),
  /**
   * Which part of the minute it is, where the lease changed hands within it or was away: the epoch
   * of the lease that it was booked under, and a number in that. Parts add up, each once.
   */
  epoch: v.optional(whole),
  part: v.optional(whole),
});
export type LedgerEntry = v.InferOutput<typeof ledgerEntrySchema>;

/** The month's budget is spent, or is going to be: `mr.evt.budget`. Money is in millionths. */
export const budgetEventSchema = v.object({
  v: v.literal(1),
  atUs: whole,
  level: v.picklist(["projected", "exceeded"]),
  budgetMicros: whole,
  spentMicros: whole,
  projectedMicros: whole,
  message: v.string(),
});
export type BudgetEvent = v.InferOutput<typeof budgetEventSchema>;
