/**
 * What a killed worker adds to latency, on virtual time: detection, the second ticket, and the run
 * by itself on an empty device. What a process that starts takes from the processors of a machine
 * is not in it; `chaos/kill.yaml` has that too.
 */

import { describe, expect, test } from "vitest";
import { type Defence, drawScenario, type Scenario, simulate } from "../src/index.ts";

const MIB = 1024 * 1024;
const SECOND_US = 1_000_000;
/** What was open at the crash, and what came just after it: little else is in it. */
const WINDOW_US = 20_000;
const ADDED_US_MAX = 50_000;
const SEEDS = [1, 2, 3, 4, 5, 6];
const UNANSWERED_US = 2 * SECOND_US;

const model = (name: string, share: number): Scenario["models"][number] => ({
  name,
  fileBytes: MIB,
  loadedBytes: MIB,
  maxBatch: 32,
  lengthMax: 0,
  // As long as still lets 150 a second be unhurried.
  runUs: 2_000,
  rowUs: 100,
  loadUs: 30_000,
  share,
  remote: 0,
});

const worker = (id: string, isGpu: boolean): Scenario["workers"][number] => ({
  id,
  role: isGpu ? "gpu-worker" : "cpu-worker",
  class: isGpu ? "emulated" : "cpu",
  memoryBytes: 64 * MIB,
  slowness: 1,
});

/** As `chaos/kill.yaml`: 150 requests a second, three GPUs and a CPU, two schedulers. */
const scenarioOf = (seed: number, noticed: number): Scenario => ({
  ...drawScenario(seed),
  calm: false,
  gentle: true,
  ingresses: ["ingress-1"],
  schedulers: ["scheduler-1", "scheduler-2"],
  workers: [
    ...["gpu-worker-1", "gpu-worker-2", "gpu-worker-3"].map((id) => worker(id, true)),
    worker("cpu-worker-1", false),
  ],
  models: [model("tiny", 2), model("drill-lookup", 1)],
  // A hop between two processes of one machine.
  network: { delayUs: 400, jitterUs: 300, loss: 0, duplication: 0, reordering: 0, lateUs: 0 },
  rate: 150,
  tiers: [1, 0, 0],
  deadlineUsMin: UNANSWERED_US,
  deadlineUsMax: UNANSWERED_US,
  owedUsMin: SECOND_US,
  abandons: 0,
  poison: 0,
  jobs: 0,
  killers: 0,
  clockSkewUs: 0,
  retryBurst: 1_000,
  straggles: 0,
  fatal: 0,
  loadFails: 0,
  incidents: new Map([["workerCrash", SECOND_US]]),
  noticed,
  safetyUs: 20 * SECOND_US,
  openMax: 8_192,
  queueTicketsMax: 8_192,
  parkAfterUs: Infinity,
  waitsForWorkers: false,
  zoned: false,
});

interface Figures {
  readonly disturbed: number;
  readonly addedP99Us: number;
}

function measure(noticed: number, without: readonly Defence[] = []): Figures {
  const disturbed: number[] = [];
  const undisturbed: number[] = [];
  for (const seed of SEEDS) {
    const scenario = scenarioOf(seed, noticed);
    const crashes: number[] = [];
    const began = new Map<string, number>();
    const requests: { readonly fromUs: number; readonly toUs: number; readonly us: number }[] = [];
    simulate(seed, {
      scenario,
      without,
      print: (line) => {
        const [, us] = /^\s*(\d+) us\s+\w+-worker-\d+\s+crash\s/.exec(line) ?? [];
        if (us !== undefined) crashes.push(Number(us));
      },
      observe: (fact, atUs) => {
        if (fact.type === "requestAdmitted") began.set(fact.request, atUs);
        if (fact.type !== "requestSettled") return;
        const fromUs = began.get(fact.request);
        if (fromUs === undefined || fromUs < SECOND_US || fromUs > scenario.safetyUs) return;
        const us = fact.outcome.ok ? atUs - fromUs : UNANSWERED_US;
        requests.push({ fromUs, toUs: atUs, us });
      },
    });
    expect(crashes.length).toBeGreaterThan(3);
    for (const { fromUs, toUs, us } of requests) {
      const isHit = crashes.some((atUs) => toUs >= atUs && fromUs < atUs + WINDOW_US);
      (isHit ? disturbed : undisturbed).push(us);
    }
  }
  return { disturbed: disturbed.length, addedP99Us: p99(disturbed) - p99(undisturbed) };
}

const p99 = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? 0;

describe("a killed worker", () => {
  test("adds at most 50 ms at p99 where the broker sees it go", () => {
    const { disturbed, addedP99Us } = measure(1);
    expect(disturbed).toBeGreaterThan(100);
    expect(addedP99Us).toBeLessThanOrEqual(ADDED_US_MAX);
  });

  test("adds more where only its silence tells, or where nobody tries again", () => {
    expect(measure(0).addedP99Us).toBeGreaterThan(ADDED_US_MAX);
    expect(measure(1, ["retry"]).addedP99Us).toBeGreaterThan(ADDED_US_MAX);
  });
});
