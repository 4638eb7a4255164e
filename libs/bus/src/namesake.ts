/**
 * Decides which of two processes with one id goes on. To the others they look like one that is
 * restarted at every heartbeat, and what either holds as lost. The later start goes on: it may
 * stand in for one that was frozen. Both sides compare the same two figures, so exactly one ends.
 */

import { decodeJson, processIdentitySchema } from "@millrace/protocol";
import type { Bus } from "./bus.ts";

export interface ProcessIdentity {
  /** Drawn at the start, as heartbeats have it. */
  readonly incarnation: number;
  /** Unix milliseconds. */
  readonly startedMs: number;
}

/** Another process has the id of this one, and started later. */
export class IdTakenError extends Error {
  override readonly name = "IdTakenError";

  constructor(id: string) {
    super(
      `another process has the id ${id} and started later: give each its own MILLRACE_ID; this one ends`,
    );
  }
}

export const yieldsTo = (own: ProcessIdentity, other: ProcessIdentity): boolean =>
  other.incarnation !== own.incarnation &&
  (other.startedMs === own.startedMs
    ? other.incarnation > own.incarnation
    : other.startedMs > own.startedMs);

/** @param subject that of the process's own heartbeats. @returns rejects once this is to end. */
export function watchNamesake(
  bus: Pick<Bus, "subscribe">,
  subject: string,
  { id, own }: { readonly id: string; readonly own: ProcessIdentity },
): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  // Who awaits it may have ended for another reason.
  promise.catch(() => undefined);
  bus.subscribe(subject, (bytes) => {
    const other = decodeJson(processIdentitySchema, bytes);
    if (other.ok && yieldsTo(own, other.value)) reject(new IdTakenError(id));
  });
  return promise;
}
