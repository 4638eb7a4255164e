/**
 * Twenty models on a device that holds about five: each is loaded when it is asked for, others make
 * way for it, and the device never holds more than its memory (I3).
 */

import { benchModel } from "@millrace/examples";
import { present } from "@millrace/std";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ids2, lookup } from "../support/built-models.ts";
import { type Cluster, type ClusterModel, EMULATED, startCluster } from "../support/cluster.ts";
import { type Answer, ask } from "../support/inference.ts";
import { Members } from "../support/members.ts";

const WORKER = "gpu-worker-1";
const MIB = 1024 ** 2;
/** Of FP32: 8 MB a model. */
const TABLE_SIZE = 2_000_000;
const MODELS = 20;
const BUDGET_BYTES = 44 * MIB;
const ROUNDS = 3;
const CLIENTS = 4;
const TIMEOUT_MS = 30_000;
const PUSHES = 4;
const EVERYTHING_MS = 600_000;

const names = Array.from({ length: MODELS }, (_, at) => `table-${at}`);

let cluster: Cluster;
let members: Members;
/** The most that a heartbeat has shown, as free memory tells it and as the models' own sizes do. */
let usedBytesMax = 0;
let heldBytesMax = 0;
let heldMax = 0;
/** Models that left the device after they had been ready on it. */
let evictions = 0;
/**
 * What the worker said of loads that failed, but for want of room: that a model takes more than its
 * file tells is known after the first attempt, and no request sees it.
 */
const failures = new Set<string>();

beforeAll(async () => {
  cluster = await startCluster({
    env: {
      "gpu-worker": { ...EMULATED["gpu-worker"], MILLRACE_DEVICE_MEMORY: String(BUDGET_BYTES) },
    },
    counts: { "cpu-worker": 0 },
  });
  members = new Members(cluster.bus);
  watchDevice();
  await inParallel(PUSHES, names, async (name) => {
    await cluster.push(table(name));
  });
}, EVERYTHING_MS);

afterAll(() => cluster?.[Symbol.asyncDispose]());

/** Every model has a factor of its own, so that an answer of another one is seen. */
const factorOf = (name: string): number => names.indexOf(name) + 1;

const table = (name: string): ClusterModel =>
  lookup(name, { size: TABLE_SIZE, factor: factorOf(name) });

/** Judges every heartbeat from now on. */
function watchDevice(): void {
  let ready = new Set<string>();
  members.onWorker(({ device, models }) => {
    usedBytesMax = Math.max(usedBytesMax, device.memoryTotalBytes - device.memoryFreeBytes);
    if (models === undefined) return;
    const held = models.filter(({ state }) => state !== "failed");
    heldMax = Math.max(heldMax, held.length);
    heldBytesMax = Math.max(
      heldBytesMax,
      held.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    for (const { ref, error } of models) {
      if (error === undefined || error.code === "OUT_OF_MEMORY") continue;
      failures.add(`${ref}: ${error.code}: ${error.message}`);
    }
    const now = new Set(held.flatMap(({ ref, state }) => (state === "ready" ? [ref] : [])));
    for (const ref of ready) if (!now.has(ref)) evictions++;
    ready = now;
  });
}

/** Takes the items in their order, so many at once. */
async function inParallel<T>(
  most: number,
  items: readonly T[],
  act: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: most }, async () => {
      for (const item of left) await act(item);
    }),
  );
}

/** What was wrong with the answers; a model's name and an id each. */
async function askAll(asked: readonly string[]): Promise<readonly string[]> {
  const troubles: string[] = [];
  const questions = asked.map((name, at) => ({ name, ids: [at, TABLE_SIZE / 2 + at] }));
  await inParallel(CLIENTS, questions, async ({ name, ids }) => {
    const answer = await askFor(name, ids);
    const expected = ids.map((id) => Math.fround(factorOf(name) * id));
    const found = answer.outputs[0]?.data ?? [];
    if (answer.status === 200 && String(found) === String(expected)) return;
    const what = answer.status === 200 ? String(found) : `${answer.code}: ${answer.message}`;
    troubles.push(`${name} after ${answer.tookMs.toFixed(0)} ms: ${what}`);
  });
  return troubles;
}

async function askFor(name: string, ids: readonly number[]) {
  const beganMs = performance.now();
  const answer = await ask(cluster, name, [ids2(ids)], {
    parameters: { timeout: TIMEOUT_MS * 1000 },
  });
  return { ...answer, tookMs: performance.now() - beganMs };
}

describe("more models than fit the device", () => {
  test(
    "each is answered rightly when it is asked for, round after round",
    { timeout: EVERYTHING_MS },
    async () => {
      const asked = Array.from({ length: ROUNDS }, () => names).flat();
      expect(await askAll(asked)).toEqual([]);
      expect([...failures]).toEqual([]);
    },
  );

  test("models made way for others, and the device was never full", async () => {
    const evicted = (ROUNDS - 1) * MODELS;
    await cluster.until("evictions", () => evictions >= evicted / 2);
    expect(heldMax).toBeGreaterThan(1);
    expect(heldMax).toBeLessThan(MODELS / 2);
    expect(usedBytesMax).toBeGreaterThan(0);
    expect(usedBytesMax).toBeLessThanOrEqual(BUDGET_BYTES);
    expect(heldBytesMax).toBeLessThanOrEqual(BUDGET_BYTES);
    expect(cluster.restarts(WORKER)).toBe(0);
  });

  test("one that needs far more than its file tells gets its room", async () => {
    const { name, file, options } = benchModel("echo600k");
    await cluster.push({ file, options });
    const before = evictions;
    const width = 150_000;
    const x = { name: "x", datatype: "FP32", shape: [1, width], data: Array(width).fill(2) };
    const parameters = { timeout: TIMEOUT_MS * 1000 };
    let answer: Answer | undefined;
    await cluster.until("the registry's word of it", async () => {
      answer = await ask(cluster, name, [x], { parameters, send: "binary" });
      return answer.code !== "MODEL_NOT_FOUND";
    });
    expect(answer?.code).toBeUndefined();
    expect(answer?.outputs[0]?.data).toEqual([2]);
    expect(evictions).toBeGreaterThan(before);
    expect(heldBytesMax).toBeLessThanOrEqual(BUDGET_BYTES);
    expect(await askAll(names)).toEqual([]);
  });

  test("one that no device can hold is refused, and no other one makes way for it", async () => {
    const name = "vast";
    const bytes = BUDGET_BYTES + 8 * MIB;
    await cluster.push(lookup(name, { size: bytes / 4, factor: 1 }));
    const before = evictions;
    await cluster.until("the registry's word of it", async () => {
      const { code } = await askFor(name, [1, 2]);
      return code !== "MODEL_NOT_FOUND";
    });
    const tables = members.residents(WORKER).filter(({ ref }) => !ref.startsWith("echo"));
    const [resident] = tables;
    const stays = present(resident, "a model on the device").ref.split("@")[0] ?? "";
    const [refused, troubles] = await Promise.all([
      askFor(name, [1, 2]),
      askAll(Array.from({ length: 50 }, () => stays)),
    ]);
    expect(refused).toMatchObject({ status: 503, code: "NO_DEVICE" });
    // At once: nobody waits for what cannot come.
    expect(refused.tookMs).toBeLessThan(TIMEOUT_MS / 2);
    expect(troubles).toEqual([]);
    expect(evictions).toBe(before);
    expect([...failures]).toEqual([]);
  });
});
