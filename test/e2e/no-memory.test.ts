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
const FAULT_US = 5_000_000;
/** As long as a request may be asked for in vain, and how few of those may be. */
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

/** Asks one model for as long as a device of its has no memory for runs, and a while longer. */
async function askWithout(model: string, factor: number, id: string): Promise<Load> {
  const load = new Load({
    target: { url: cluster.url, key: cluster.key },
    perSecond: PER_SECOND,
    timeoutMs: TIMEOUT_MS,
    question: (number) => {
      const ids = [number % 1000, (7 * number) % 1000];
      return { model, inputs: [ids2(ids)], expected: () => ids.map((one) => factor * one) };
    },
  });
  await sleep(500);
  const { orders } = trial;
  const order = { kind: "gpu-oom", target: { id }, durationUs: FAULT_US } as const;
  const { id: fault } = await orders.inject(order, ANYBODY);
  load.mark("the want of memory");
  await cluster.until("word of it", () => isFailing(id, `${model}@1`), WITHIN_MS);
  await cluster.until("its end", () => orders.end(fault) !== undefined, 15_000);
  const isBack = (): boolean => members.holds(id, `${model}@1`) && !isFailing(id, `${model}@1`);
  await cluster.until("the device to be back", isBack, 10_000);
  await load.stop();
  return load;
}

test("of two copies the other answers", async () => {
  const load = await askWithout("small", 5, WORKERS[0]);
  expect(load.troubles).toEqual([]);
});

test("of a model with one copy another is loaded, and answers within two seconds", async () => {
  const holder = present(holders("one@1")[0], "a holder");
  const load = await askWithout("one", 2, holder);
  const troubles = load.entries.filter(({ trouble }) => trouble !== undefined);
  const late = troubles.filter(({ askedMs }) => askedMs > 500 + WITHIN_MS);
  expect(late).toEqual([]);
  // Those who asked at first waited for the other copy, or were told of the memory at most.
  for (const { trouble } of troubles) expect(trouble).toContain("OUT_OF_MEMORY");
  expect(troubles.length).toBeLessThan(PER_SECOND);
  expect(holders("one@1")).toContain(WORKERS.find((worker) => worker !== holder));
});
