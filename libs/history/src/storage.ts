/**
 * The storage of a cluster, made where it is missing. Several NATS servers need seconds to elect
 * who leads JetStream and each stream: that is waited for, aloud and not for ever.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { FaultError } from "@millrace/protocol";
import { openStore, type Store } from "@millrace/store";
import type { NatsConnection } from "@nats-io/transport-node";
import { createHistory } from "./streams.ts";

export interface StorageOptions {
  /** Of NATS; what is made for three or more outlives the loss of one. */
  readonly serverCount: number;
  /** Progress for people. */
  readonly report: (line: string) => void;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  readonly waitMsMax?: number;
}

/** What survives the loss of one. */
const REPLICAS = 3;
/** Several times the 4 to 9 s that an election takes. */
const WAIT_MS_MAX = 30_000;
const RETRY_MS = 250;
const PROGRESS_MS = 2_000;

/**
 * Needs the rights of `admin`.
 * @throws FaultError: DISCONNECTED when JetStream did not answer in all that time, FORBIDDEN and
 *   INTERNAL at once; AbortError when `signal` says so.
 */
export async function openStorage(
  connection: NatsConnection,
  options: StorageOptions,
): Promise<Store> {
  const { serverCount, report, signal, waitMsMax = WAIT_MS_MAX } = options;
  const replicas = serverCount >= REPLICAS ? REPLICAS : 1;
  const startedAtMs = performance.now();
  let saidAtMs = -Infinity;
  for (;;) {
    try {
      // First the history, as an opened store follows the connection to its end.
      await createHistory(connection, { replicas });
      return await openStore(connection, { create: true, replicas });
    } catch (error) {
      const unavailable = error instanceof FaultError && error.fault.code === "DISCONNECTED";
      const nowMs = performance.now();
      const waitedMs = nowMs - startedAtMs;
      if (!unavailable || waitedMs >= waitMsMax) throw error;
      if (nowMs - saidAtMs >= PROGRESS_MS) {
        saidAtMs = nowMs;
        report(`waiting for JetStream, ${Math.round(waitedMs / 1000)} s: ${error.message}`);
      }
    }
    await sleep(RETRY_MS, undefined, { signal });
  }
}
