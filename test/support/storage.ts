/** The storage of a cluster of a test, once its NATS servers have elected who leads it. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@millrace/bus";
import { createHistory } from "@millrace/history";
import { openStore, type Store } from "@millrace/store";

const ELECTION_MS_MAX = 30_000;
const POLL_MS = 25;

/** @throws Error of the last try when it is not there after half a minute. */
export async function openStorage({ connection }: Bus, replicas: number): Promise<Store> {
  for (const lastAtMs = performance.now() + ELECTION_MS_MAX; ; await sleep(POLL_MS)) {
    try {
      await createHistory(connection, { replicas });
      return await openStore(connection, { create: true, replicas });
    } catch (error) {
      if (performance.now() > lastAtMs) throw error;
    }
  }
}
