/** What heartbeats tell beyond who is there: bytes that were fetched across zones, each once. */

import { encodeJson, subjects, WORKER_HEARTBEATS, type WorkerHeartbeat } from "@millrace/protocol";
import { REAL_CLOCK } from "@millrace/runtime";
import { expect, test } from "vitest";
import { openHearing } from "../src/hearing.ts";
import { beat } from "./beat.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

function rig() {
  const handlers = new Map<string, (bytes: Uint8Array, subject: string) => void>();
  const hearing = openHearing({
    bus: {
      subscribe: (subject, handler) => {
        handlers.set(subject, handler);
        return { drain: () => Promise.resolve() };
      },
    },
    clock: REAL_CLOCK,
    nowUs: () => 0,
    log: silent,
    post: () => undefined,
  });
  const hear = (change: Partial<WorkerHeartbeat>): void =>
    handlers.get(WORKER_HEARTBEATS)?.(
      encodeJson(beat(change)),
      subjects.workerHeartbeat("gpu-worker-1"),
    );
  return { hearing, hear };
}

const POOL = { kind: "gpu-l4", zone: "east", lifecycle: "spot" };

test("what a worker fetched across zones since it was first heard is told once", () => {
  const { hear, hearing } = rig();
  hear({});
  hear({ crossedBytes: 500 });
  hear({ crossedBytes: 500 });
  hear({ crossedBytes: 800 });
  expect(hearing.takeCrossed()).toEqual([
    { pool: POOL, bytes: 500 },
    { pool: POOL, bytes: 300 },
  ]);
  expect(hearing.takeCrossed()).toEqual([]);
});

test("what was fetched before a process was first heard is another's to book", () => {
  const { hear, hearing } = rig();
  hear({ crossedBytes: 500 });
  expect(hearing.takeCrossed()).toEqual([]);
  hear({ incarnation: 8, crossedBytes: 900 });
  hear({ incarnation: 8, crossedBytes: 950 });
  expect(hearing.takeCrossed()).toEqual([{ pool: POOL, bytes: 50 }]);
});
