/** What an error of JetStream means for a caller, and how long a caller waits for one. */

import { JetStreamApiError } from "@nats-io/jetstream";
import { type Fault, fault } from "@millrace/protocol";

/** Longest wait for one answer of JetStream: an unreachable store is a fault, not a hang. */
export const CALL_MS_MAX = 2_000;

/** Errors of the NATS client, by name, that mean that nobody answered. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  "TimeoutError",
  "NoRespondersError",
  "ClosedConnectionError",
  "DrainingConnectionError",
  "ConnectionError",
  "JetStreamNotEnabled",
]);

const STREAM_NOT_FOUND = 10059;
/** Servers of a cluster that has just started do not know of each other yet. */
const NO_SUITABLE_PEERS = 10005;
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10071, 10164]);

/** True when somebody else wrote the key since it was read. */
export const isConflict = (error: unknown): boolean =>
  error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.has(error.code);

/**
 * The fault of a failed storage call. `what` is the attempt in words: "reading the registry".
 * DISCONNECTED: nobody answered, or the bucket is not there yet; FORBIDDEN: the NATS user lacks the
 * right; INTERNAL: JetStream refused for a reason of its own, such as a full disk.
 */
export function storageFault(error: unknown, what: string): Fault {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (cause.name === "PermissionViolationError") {
      return fault("FORBIDDEN", `${what}: the NATS user may not do this (${cause.message})`);
    }
    if (UNREACHABLE.has(cause.name)) {
      return fault("DISCONNECTED", `${what}: the JetStream storage of NATS did not answer`);
    }
    if (cause instanceof JetStreamApiError) {
      if (cause.code === STREAM_NOT_FOUND) {
        return fault("DISCONNECTED", `${what}: the bucket has not been created yet`);
      }
      // 503 of the API itself: no leader yet, or JetStream is still starting.
      const starting = cause.status === 503 || cause.code === NO_SUITABLE_PEERS;
      return fault(starting ? "DISCONNECTED" : "INTERNAL", `${what}: ${cause.message}`);
    }
  }
  return fault("INTERNAL", `${what}: ${error instanceof Error ? error.message : String(error)}`);
}
