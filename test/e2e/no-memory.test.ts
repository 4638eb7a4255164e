/**
 * The device with the only copy of a model has no memory left for runs: another copy is loaded
 * where another model makes way for it, and answers, long before the memory is back. Where there
 * are two copies, hardly a request is late.
 */

import { present } from "@millrace/std";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ids2, lookup } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { ask } from "../support/inference.ts";
import { Load } from "../support/load.ts";
import { Members } from "../support/members.ts";
import { ANYBODY, Trial } from "../support/trial.ts";

/** Of FP32: 40 MB a model. A device has room for one, also where it is measured as double. */
const LARGE = 10_000_000;
const BUDGET_BYTES = 86_000_000;
const WORKERS = ["gpu-worker-1", "gpu-worker-2"] as const;
const PER_SECOND = 40;
const TIMEOUT_MS = 2_000;
const FAULT_US = 4_000_000;
/** From then on nobody asks in vain. */
const WITHIN_MS = 2_000;

let cluster: Cluster;
let members: Members;
let trial: Trial;

beforeAll(async () => {
  cluster = await startCluster({
    chaos: true,
    env: {
      ...EMULATED,
      "gpu-worker": { ...EMULATED["gpu-worker"], MILLRACE_DEVICE_MEMORY: String(BUDGET_BYTES) },
    },
    counts: { "gpu-worker": WORKERS.length, "cpu-worker": 0 },
    models: [
      lookup("one", { size: LARGE, factor: 2 }),
      lookup("small", { size: 1_000, factor: 5 }),
    ],
  });
  members = new Members(cluster.bus);
  trial = new Trial(cluster);
  // Both devices have the first: for the second, which somebody asks for, one copy makes way.
  await cluster.push(lookup("other", { size: LARGE, factor: 3 }));
  const isServed = async (): Promise<boolean> =>
    (await ask(cluster, "other", [ids2([1, 2])])).status === 200;
  await cluster.until("the other model", isServed, 30_000);
  const everywhere = (): boolean =>
    WORKERS.every((worker) => members.holds(worker, "small@1")) &&
    ["one@1", "other@1"].every((ref) => holders(ref).length === 1);
  await cluster.until("a place for each", everywhere, 30_000);
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

const holders = (ref: string): readonly string[] =>
  WORKERS.filter((worker) => members.holds(worker, ref));

const isFailing = (worker: string, ref: string): boolean =>
  members.residents(worker).some((resident) => resident.ref === ref && resident.failing === true);

const startLoad = (model: string, factor: number): Load =>
  new Load({
    target: { url: cluster.url, key: cluster.key },
    perSecond: PER_SECOND,
    timeoutMs: TIMEOUT_MS,
    question: (number) => {
      const ids = [number % 1000, (7 * number) % 1000];
      return { model, inputs: [ids2(ids)], expected: () => ids.map((one) => factor * one) };
    },
  });

/** Takes the memory for runs from a device; whether the model was ever said to fail there. */
async function takeMemory(load: Load, id: string, ref: string): Promise<boolean> {
  let wasSaid = false;
  const forget = members.onWorker(() => (wasSaid ||= isFailing(id, ref)));
  const { orders } = trial;
  const order = { kind: "gpu-oom", target: { id }, durationUs: FAULT_US } as const;
  const { id: fault } = await orders.inject(order, ANYBODY);
  load.mark(`the want of memory on ${id}`);
  await cluster.until("its end", () => orders.end(fault) !== undefined, 15_000);
  await cluster.until("the device to be back", () => !isFailing(id, ref), 10_000);
  forget();
  return wasSaid;
}

test("of two copies the other answers", async () => {
  const load = startLoad("small", 5);
  await sleep(500);
  const said: boolean[] = [];
  // One that is idle need not have noticed: either of them serves.
  for (const worker of WORKERS) said.push(await takeMemory(load, worker, "small@1"));
  await load.stop();
  expect(said).toContain(true);
  expect(load.troubles).toEqual([]);
});

test("of a model with one copy another is loaded, and answers within two seconds", async () => {
  const holder = present(holders("one@1")[0], "a holder");
  const load = startLoad("one", 2);
  await sleep(500);
  const fromMs = load.nowMs;
  expect(await takeMemory(load, holder, "one@1")).toBe(true);
  await load.stop();
  const troubles = load.entries.filter(({ trouble }) => trouble !== undefined);
  expect(troubles.filter(({ askedMs }) => askedMs > fromMs + WITHIN_MS)).toEqual([]);
  // Those who asked at first waited for the other copy, but for the first of them.
  for (const { trouble } of troubles) expect(trouble).toContain("OUT_OF_MEMORY");
  expect(troubles.length).toBeLessThan(PER_SECOND);
  expect(holders("one@1")).toContain(WORKERS.find((worker) => worker !== holder));
});
