/** Waits until every member of a new cluster is heard and its ingress answers. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@millrace/bus";
import { SCHEDULER_HEARTBEATS, WORKER_HEARTBEATS } from "@millrace/protocol";
import { CommandError } from "../failure.ts";

const READY_MS_MAX = 120_000;
const POLL_MS = 50;
const PROGRESS_MS = 2_000;
const HTTP_MS_MAX = 2_000;

export interface ReadyOptions {
  readonly bus: Bus;
  /** Of the schedulers and workers that must be heard. */
  readonly ids: readonly string[];
  /** Of the ingresses that must answer. */
  readonly urls: readonly string[];
  /** Throws when one of the processes will never be ready. */
  readonly check: () => void;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** @throws CommandError naming who is missing; AbortError when it is ended. */
export async function awaitReady(options: ReadyOptions): Promise<void> {
  const { bus, check, say, signal } = options;
  const missing = new Set([...options.ids, ...options.urls]);
  const heard = (_bytes: Uint8Array, subject: string): void => {
    missing.delete(subject.slice(subject.lastIndexOf(".") + 1));
  };
  const subscriptions = [SCHEDULER_HEARTBEATS, WORKER_HEARTBEATS].map((subject) =>
    bus.subscribe(subject, heard),
  );
  const startedAtMs = performance.now();
  let saidAtMs = startedAtMs;
  try {
    for (;;) {
      check();
      for (const url of options.urls) if (await answers(url)) missing.delete(url);
      if (missing.size === 0) return;
      const nowMs = performance.now();
      const waitingFor = [...missing].join(", ");
      if (nowMs - startedAtMs > READY_MS_MAX) {
        throw new CommandError(
          `not ready after ${READY_MS_MAX / 1000} s: ${waitingFor}`,
          "see the logs in .millrace/logs",
        );
      }
      if (nowMs - saidAtMs > PROGRESS_MS) {
        saidAtMs = nowMs;
        say(`waiting for ${waitingFor}`);
      }
      await sleep(POLL_MS, undefined, { signal });
    }
  } finally {
    await Promise.all(subscriptions.map((subscription) => subscription.drain()));
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const timeout = AbortSignal.timeout(HTTP_MS_MAX);
    const response = await fetch(`${url}/v2/health/live`, { signal: timeout });
    return response.ok;
  } catch {
    return false;
  }
}
