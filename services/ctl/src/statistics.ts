/**
 * What services say of themselves beside their heartbeats: replies to `$SRV.STATS` (ADR-32), where
 * every instance has its id in `metadata` and its figures in `data`. Figures that a service of
 * another version does not give are left out.
 */

import * as v from "valibot";
import { residentSchema } from "@millrace/protocol";

const figure = v.optional(v.number());

const ingressModelSchema = v.object({
  requestsPerSecond: v.optional(v.number(), 0),
  p50Us: figure,
  p99Us: figure,
  errors: v.optional(v.number(), 0),
});

export const ingressDataSchema = v.object({
  /** Requests without an answer yet, and the bytes of their bodies. */
  open: v.optional(v.number(), 0),
  openBytes: v.optional(v.number(), 0),
  /** By `name@version`. */
  models: v.optional(v.record(v.string(), ingressModelSchema), {}),
});
export type IngressData = v.InferOutput<typeof ingressDataSchema>;

export const schedulerDataSchema = v.object({
  queuedRows: figure,
  /** Rows of a batch, on average. */
  batchRowsMean: figure,
});

export const workerDataSchema = v.object({
  models: v.optional(v.array(v.pick(residentSchema, ["ref", "state", "bytes"]))),
});

export const statsSchema = v.object({
  /** The role. */
  name: v.string(),
  metadata: v.object({ id: v.string() }),
  endpoints: v.array(
    v.object({
      num_requests: v.optional(v.number(), 0),
      num_errors: v.optional(v.number(), 0),
      data: v.optional(v.unknown()),
    }),
  ),
});
export type Stats = v.InferOutput<typeof statsSchema>;
