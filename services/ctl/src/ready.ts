/** Waiting for a model to be on a device, as the workers' own heartbeats tell it. */

import type { Bus } from "@millrace/bus";
import {
  decodeJson,
  type Resident,
  WORKER_HEARTBEATS,
  workerHeartbeatSchema,
} from "@millrace/protocol";
import { formatBytes } from "@millrace/std";
import { CommandError, usageError } from "./failure.ts";
import type { Report } from "./push.ts";

/** What each worker that was heard holds, by its id. */
export type Holdings = ReadonlyMap<string, readonly Resident[]>;

export interface Readiness {
  readonly state: "waiting" | "loading" | "ready" | "failed";
  readonly detail: string;
}

/** The best that is known of a model: ready anywhere beats loading beats failed. */
export function readinessOf(ref: string, holdings: Holdings): Readiness {
  const found = [...holdings].flatMap(([worker, models]) =>
    models.filter((resident) => resident.ref === ref).map((resident) => ({ worker, resident })),
  );
  const first = (state: Resident["state"]) =>
    found.find(({ resident }) => resident.state === state);
  const ready = first("ready");
  if (ready !== undefined) {
    return { state: "ready", detail: `${ready.worker}, ${formatBytes(ready.resident.bytes)}` };
  }
  const loading = first("loading");
  if (loading !== undefined) return { state: "loading", detail: `loading on ${loading.worker}` };
  const failed = first("failed");
  if (failed !== undefined) {
    const { code, message } = failed.resident.error ?? { code: "LOAD_FAILED", message: "" };
    return { state: "failed", detail: `${failed.worker}: ${message} (${code})` };
  }
  return holdings.size === 0
    ? { state: "waiting", detail: "no worker is running" }
    : { state: "waiting", detail: `none of ${holdings.size} workers has begun to load it` };
}

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly report: Report;
}

const POLL_MS = 100;
const PROGRESS_MS = 2_000;
/** A scheduler may try another worker after a failure; this long nobody did. */
const FAILED_MS = 2_000;

/** @throws CommandError that says why the model is not ready. */
export async function waitUntilReady(bus: Bus, ref: string, options: WaitOptions): Promise<void> {
  const { timeoutMs, report } = options;
  const holdings = new Map<string, readonly Resident[]>();
  const heard = bus.subscribe(WORKER_HEARTBEATS, (bytes) => {
    const beat = decodeJson(workerHeartbeatSchema, bytes);
    // The list comes on change and once a second; between, the worker only counts as alive.
    if (beat.ok)
      holdings.set(beat.value.id, beat.value.models ?? holdings.get(beat.value.id) ?? []);
  });
  const startMs = performance.now();
  let saidMs = startMs;
  let failedMs = 0;
  try {
    for (;;) {
      const nowMs = performance.now();
      const { state, detail } = readinessOf(ref, holdings);
      if (state === "ready") {
        report(`${ref} is ready on ${detail}`);
        return;
      }
      failedMs = state === "failed" ? failedMs || nowMs : 0;
      if (failedMs > 0 && nowMs - failedMs >= FAILED_MS) {
        throw notReady(ref, detail, "the version before answers again after `model rollback`");
      }
      if (nowMs - startMs >= timeoutMs) {
        throw notReady(ref, `${detail} after ${timeoutMs / 1000} s`, "see `millrace status`");
      }
      if (nowMs - saidMs >= PROGRESS_MS) {
        report(`  ${detail}, ${Math.round((nowMs - startMs) / 1000)} s`);
        saidMs = nowMs;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    await heard.drain();
  }
}

const notReady = (ref: string, detail: string, remedy: string): CommandError =>
  new CommandError(`${ref} is registered but not ready: ${detail}`, remedy);

/** The value of `--timeout`, in milliseconds. */
export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text !== "" && seconds > 0 && seconds <= 86_400) return seconds * 1000;
  throw usageError(`--timeout ${text}`, "expected seconds, such as 120");
}
