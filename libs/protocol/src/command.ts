/** What a scheduler tells a worker to hold in device memory, and the broker's disconnect events. */

import * as v from "valibot";
import { modelSpecSchema } from "./model.ts";

export const commandSchema = v.variant("kind", [
  v.object({ v: v.literal(1), kind: v.literal("load"), spec: modelSpecSchema, by: v.string() }),
  v.object({ v: v.literal(1), kind: v.literal("unload"), ref: v.string(), by: v.string() }),
]);
export type Command = v.InferOutput<typeof commandSchema>;

/** The part of `$SYS.ACCOUNT.*.DISCONNECT` that is used: the name and the connection's ids. */
export const disconnectSchema = v.object({
  server: v.optional(v.object({ id: v.optional(v.string()) })),
  client: v.object({ name: v.optional(v.string(), ""), id: v.optional(v.number()) }),
  reason: v.optional(v.string(), ""),
});
export type Disconnect = v.InferOutput<typeof disconnectSchema>;
