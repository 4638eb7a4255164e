/** Between the forecaster and whoever starts workers for it: counts there, what runs back. */

import * as v from "valibot";
import { isName } from "@millrace/std";
import { LIFECYCLES } from "./heartbeat.ts";

const name = v.pipe(v.string(), v.check(isName));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const poolEntries = { kind: name, zone: name, lifecycle: v.picklist(LIFECYCLES) };

const head = {
  v: v.literal(1),
  /** Of the sender's lease: an agent refuses a lower one than it has heard. */
  epoch: whole,
};

export const fleetRequestSchema = v.variant("operation", [
  v.object({ ...head, operation: v.literal("list") }),
  v.object({
    ...head,
    operation: v.literal("scale"),
    pool: v.object(poolEntries),
    count: whole,
    retire: v.array(name),
  }),
  v.object({ ...head, operation: v.literal("replace"), id: name }),
]);
export type FleetRequest = v.InferOutput<typeof fleetRequestSchema>;

/** As the drivers of `fleet` have them. */
const faultCodes = [
  "BAD_COUNT",
  "NO_SUCH_POOL",
  "NO_SUCH_MEMBER",
  "UNREACHABLE",
  "TIMED_OUT",
  "REFUSED",
  "MALFORMED",
  "CLOSED",
] as const;

export const fleetReplySchema = v.variant("ok", [
  v.object({
    ok: v.literal(true),
    view: v.optional(
      v.object({
        members: v.array(
          v.object({
            ...poolEntries,
            id: name,
            state: v.picklist(["starting", "ready", "draining", "gone"]),
            detail: v.exactOptional(v.string()),
          }),
        ),
        pools: v.array(v.object({ ...poolEntries, expected: whole, ready: whole })),
      }),
    ),
  }),
  v.object({
    ok: v.literal(false),
    error: v.object({ code: v.picklist(faultCodes), message: v.string(), retry: v.boolean() }),
  }),
]);
export type FleetReply = v.InferOutput<typeof fleetReplySchema>;
