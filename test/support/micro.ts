/** Asks the services what `nats micro ls|info|stats` asks them (ADR-32). */

import type { Bus } from "@millrace/bus";
import { decodeJson } from "@millrace/protocol";
import * as v from "valibot";

const endpointSchema = v.looseObject({
  name: v.string(),
  subject: v.string(),
  num_requests: v.optional(v.number()),
  num_errors: v.optional(v.number()),
  average_processing_time: v.optional(v.number()),
  data: v.optional(v.record(v.string(), v.unknown())),
});
export type MicroEndpoint = v.InferOutput<typeof endpointSchema>;

const replySchema = v.looseObject({
  type: v.string(),
  /** The role. */
  name: v.string(),
  id: v.string(),
  version: v.string(),
  metadata: v.looseObject({ id: v.string() }),
  endpoints: v.optional(v.array(endpointSchema)),
});
export type MicroReply = v.InferOutput<typeof replySchema>;

const WAIT_MS = 300;
/** A machine that is busy may need more than one. */
const ASKS_MAX = 10;

/** What came within a third of a second, in the order of the members' ids. */
export async function askServices(
  bus: Bus,
  verb: "PING" | "INFO" | "STATS",
  role?: string,
): Promise<readonly MicroReply[]> {
  const subject = `$SRV.${verb}${role === undefined ? "" : `.${role}`}`;
  const replies: MicroReply[] = [];
  const options = { strategy: "timer", maxWait: WAIT_MS } as const;
  for await (const { data } of await bus.connection.requestMany(subject, "", options)) {
    const reply = decodeJson(replySchema, data);
    if (!reply.ok) throw new Error(`${subject}: ${reply.error.message}`);
    replies.push(reply.value);
  }
  return replies.toSorted((a, b) => (a.metadata.id < b.metadata.id ? -1 : 1));
}

/** The figures of one member. @throws Error when it does not reply in several seconds. */
export async function figuresOf(bus: Bus, role: string, id: string): Promise<MicroEndpoint> {
  for (let asks = 0; asks < ASKS_MAX; asks++) {
    const replies = await askServices(bus, "STATS", role);
    const endpoint = replies.find(({ metadata }) => metadata.id === id)?.endpoints?.[0];
    if (endpoint !== undefined) return endpoint;
  }
  throw new Error(`${id} gives no figures`);
}
