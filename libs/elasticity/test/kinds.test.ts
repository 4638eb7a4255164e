/** Several kinds of workers, zones that refuse, and a budget that is short for all of them. */

import { PLAN_RULES } from "@millrace/planning";
import { expect, test } from "vitest";
import type { ElasticEffect } from "../src/index.ts";
import { Rig, SECOND_US, wantsOf } from "./rig.ts";

const KINDS = ["gpu-l4", "cpu-16"];

const workersOf = (effects: readonly ElasticEffect[]): Record<string, number> =>
  Object.fromEntries(
    effects.flatMap((effect) =>
      effect.type === "decided" ? [[effect.kind, effect.decision.workers]] : [],
    ),
  );

function cpuWorker(rig: Rig, id: string, ref: string): void {
  const pool = { kind: "cpu-16", zone: "us-east-2a", lifecycle: "on-demand" } as const;
  const residents = [{ ref, bytes: 1_000_000, times: [{ rows: 1, us: 10_000 }] }];
  rig.core.step({ type: "workerHeard", id, pool, ready: true, residents }, rig.nowUs);
}

test("load that nobody foresaw counts where the model was measured to be cheapest", () => {
  const rig = new Rig({ kinds: KINDS });
  cpuWorker(rig, "cpu-worker-1", "digits@1");
  rig.load(500);
  expect(workersOf(rig.wake())).toEqual({ "gpu-l4": 1, "cpu-16": 6 });
});

test("a budget that is short leaves one of each kind before a second of any", () => {
  const rules = { ...PLAN_RULES, budgetMicrosPerHour: 3_000_000 };
  const rig = new Rig({ kinds: KINDS, rules });
  rig.worker("gpu-worker-1");
  cpuWorker(rig, "cpu-worker-1", "spam@1");
  const loads = [
    { ref: "digits@1", rowsPerSecond: 900, queuedRows: 0 },
    { ref: "spam@1", rowsPerSecond: 900, queuedRows: 0 },
  ];
  rig.core.step({ type: "loadsHeard", scheduler: "scheduler-1", loads }, rig.nowUs);
  const { "cpu-16": cpu, "gpu-l4": gpu } = workersOf(rig.wake());
  expect(gpu).toBe(1);
  expect(cpu).toBeGreaterThan(0);
});

test("a zone without room on demand is not asked for ever while others have some", () => {
  const rig = new Rig();
  rig.load(2_500);
  const pool = { kind: "gpu-l4", zone: "us-east-2a", lifecycle: "on-demand" } as const;
  rig.wake();
  rig.core.step({ type: "poolRefused", pool, held: 0 }, rig.nowUs);
  rig.load(2_500);
  const wants = wantsOf(rig.wake(5 * SECOND_US));
  const elsewhere = Object.entries(wants).filter(
    ([key, count]) => count > 0 && !key.includes("2a"),
  );
  expect(elsewhere.length).toBeGreaterThan(0);
});
