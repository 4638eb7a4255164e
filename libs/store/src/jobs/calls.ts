/** How calls of durable jobs to JetStream end: which failures pass, which do not, and how long. */

import { setTimeout as sleep } from "node:timers/promises";
import { JetStreamApiError } from "@nats-io/jetstream";
import { type Fault, fault } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { isConflict, storageFault } from "../storage.ts";

/**
 * A cluster of brokers that lost its leader takes writes again after 4 to 6 s, measured; a single
 * one that is restarted after a tenth of a second.
 */
export const PERSIST_MS_MAX = 15_000;
const AGAIN_MS = 200;

const STREAM_NOT_FOUND = 10059;

/** The fault of a failed call, with the limits of streams and disks by their own codes. */
export function jobFault(error: unknown, what: string): Fault {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof JetStreamApiError)) continue;
    const { message } = cause;
    // I6: the queue of one tenant and model is bounded, and so are all streams together.
    if (/maximum messages per subject/.test(message)) {
      return fault("JOBS_FULL", `${what}: as many chunks are queued for this model as may be`);
    }
    if (/maximum (messages|bytes)|insufficient|resource limits|no space/.test(message)) {
      return fault("STORAGE_FULL", `${what}: ${message}`);
    }
    if (cause.code === STREAM_NOT_FOUND) {
      const remedy = "`millrace up`, or any `millrace model` command, makes it";
      return fault("DISCONNECTED", `${what}: the storage of jobs is not there yet; ${remedy}`);
    }
  }
  const found = storageFault(error, what);
  // A disk that fails answers nothing, or with an error of its own: either way, try again later.
  const isStorage = found.code === "INTERNAL" && error instanceof JetStreamApiError;
  return isStorage ? fault("STORAGE_FULL", found.message) : found;
}

/** One call. `conflict`: somebody else was first. */
export async function attempt<T>(
  what: string,
  call: () => Promise<T>,
): Promise<Result<T | "conflict", Fault>> {
  try {
    return ok(await call());
  } catch (error) {
    return isConflict(error) ? ok("conflict") : fail(jobFault(error, what));
  }
}

/**
 * The same call until it is answered, for `PERSIST_MS_MAX` at most: for what may be repeated. A
 * timeout says nothing of whether the write was done, so only a later answer counts (I5).
 */
export async function persist<T>(
  what: string,
  call: () => Promise<T>,
  signal?: AbortSignal,
): Promise<Result<T | "conflict", Fault>> {
  const lastAtMs = performance.now() + PERSIST_MS_MAX;
  for (;;) {
    const done = await attempt(what, call);
    if (done.ok || done.error.code !== "DISCONNECTED") return done;
    if (performance.now() > lastAtMs || signal?.aborted === true) return done;
    await sleep(AGAIN_MS);
  }
}
