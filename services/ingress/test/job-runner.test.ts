/** The runner and the submission of jobs through a death at every single call (I5). */

import { setTimeout as sleep } from "node:timers/promises";
import { DELIVERIES_MAX, isAccepted, isEnded } from "@millrace/jobs";
import { prepareSignature } from "@millrace/openinference";
import { chunkToken, type Fault, fault, type JobRecord, subjects } from "@millrace/protocol";
import { createMetrics } from "@millrace/runtime";
import { fail, ok, present, type Result } from "@millrace/std";
import type { JobStore } from "@millrace/store";
import { describe, expect, test } from "vitest";
import type { ItemQuestion } from "../src/jobs/asker.ts";
import { createJobMetrics } from "../src/jobs/job-metrics.ts";
import { Ledger } from "../src/jobs/ledger.ts";
import { Runner } from "../src/jobs/runner.ts";
import { Submission } from "../src/jobs/submission.ts";
import { FakeJobStore } from "./fake-job-store.ts";
import { echo, row } from "./stand.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const ITEMS = 130;
const POLL = { interval: 2, timeout: 5_000 };
const WEBHOOK = "https://hooks.example.com/";
const nowMs = (): number => 1_000;

const ledgerOf = (store: JobStore): Ledger =>
  new Ledger({ store, keptMs: 1, nowMs, ended: () => undefined });

/** Hands a job in; undefined where the process died first. */
async function submit(fake: FakeJobStore, callsMax?: number): Promise<JobRecord | undefined> {
  const store = fake.start(callsMax);
  const options = { store, ledger: ledgerOf(store), nowMs, stored: fake.stored };
  const draft = { id: "job", tenant: "acme", model: "echo", webhook: WEBHOOK };
  const run = async (): Promise<JobRecord> => {
    const begun = await Submission.begin(options, draft, prepareSignature(echo));
    if (!begun.ok) throw new Error(begun.error.message);
    for (let at = 0; at < ITEMS; at++) await begun.value.addValue(row(at, 0, 0, 0));
    const accepted = await begun.value.accept("0".repeat(64));
    if (!accepted.ok) throw new Error(accepted.error.message);
    return accepted.value;
  };
  return Promise.race([run(), sleep(20)]) as Promise<JobRecord | undefined>;
}

type Serve = (question: ItemQuestion) => Result<string, Fault>;

interface Running {
  readonly serve: Serve;
  readonly slots: number;
  readonly callsMax: number;
  readonly changed: (store: JobStore) => JobStore;
}

const serveAll: Serve = ({ item }) => ok(`{"item":${item},"response":{}}`);

function runnerOf(
  fake: FakeJobStore,
  { serve = serveAll, slots = 2, callsMax, changed = (store) => store }: Partial<Running> = {},
): Runner {
  let us = 0;
  const store = changed(fake.start(callsMax));
  const runner = new Runner({
    store,
    ledger: ledgerOf(store),
    metrics: createJobMetrics(createMetrics({ role: "ingress", id: "test" })),
    log: silent,
    slots,
    stored: fake.stored,
    ageMsMax: 1_000_000,
    asker: { ask: async (question) => serve(question) },
    nowUs: () => (us += 1_000_000),
    chance: () => 0,
  });
  runner.start();
  return runner;
}

const standing = (fake: FakeJobStore): JobRecord | undefined => fake.recordOf.get("acme.job");

function linesOf(fake: FakeJobStore): readonly number[] {
  const lines = [...fake.resultOf.values()].flatMap(({ lines: text }) => text.trim().split("\n"));
  return lines.map((line) => (JSON.parse(line) as { item: number }).item).toSorted((a, b) => a - b);
}

const everyItem = [...Array(ITEMS).keys()];

test("wherever a runner dies, another ends the job, with one result for each item", async () => {
  const whole = new FakeJobStore();
  await submit(whole);
  const first = runnerOf(whole);
  await expect.poll(() => whole.queue.waiting.length, POLL).toBe(0);
  await first.stop();
  const { calls } = whole;
  expect(calls).toBeGreaterThan(10);
  for (let dies = 1; dies <= calls; dies++) {
    const fake = new FakeJobStore();
    await submit(fake);
    runnerOf(fake, { callsMax: dies });
    await expect.poll(() => fake.calls, POLL).toBe(dies);
    const second = runnerOf(fake);
    await expect.poll(() => fake.queue.waiting.length, POLL).toBe(0);
    await second.stop();
    expect(standing(fake)).toMatchObject({ state: "done", finishedItems: ITEMS, failedItems: 0 });
    expect(linesOf(fake)).toEqual(everyItem);
    // Told once, whoever it was that wrote the end.
    expect(fake.hooks.all).toHaveLength(1);
  }
});

test("what goes to the store and comes from it is counted: chunks twice, results", async () => {
  const fake = new FakeJobStore();
  await submit(fake);
  const queued = fake.queue.all.reduce((sum, { bytes }) => sum + bytes.length, 0);
  expect(queued).toBeGreaterThan(0);
  expect(fake.storedBytes).toBe(queued);
  const runner = runnerOf(fake);
  await expect.poll(() => standing(fake)?.state, POLL).toBe("done");
  await runner.stop();
  const results = [...fake.resultOf.values()].reduce((sum, { lines }) => sum + lines.length, 0);
  expect(fake.storedBytes).toBe(2 * queued + results);
});

test("wherever a submission dies, it is no accepted job, or a whole one", async () => {
  const whole = new FakeJobStore();
  await submit(whole);
  const { calls } = whole;
  for (let dies = 1; dies <= calls; dies++) {
    const fake = new FakeJobStore();
    await submit(fake, dies);
    const record = standing(fake);
    if (record !== undefined && isAccepted(record)) {
      expect(fake.queue.all).toHaveLength(record.chunks);
      continue;
    }
    // Its client was told nothing, and hands it in again: one job, whose parts are its own.
    const again = await submit(fake);
    expect(again).toMatchObject({ state: "queued", items: ITEMS });
    const runner = runnerOf(fake);
    await expect.poll(() => fake.queue.waiting.length, POLL).toBe(0);
    await runner.stop();
    expect(standing(fake)).toMatchObject({ state: "done", finishedItems: ITEMS });
    const { generation } = again as JobRecord;
    const own = [...fake.resultOf.keys()].filter((name) =>
      name.startsWith(`acme.job.${generation}-`),
    );
    expect(own).toHaveLength(again?.chunks ?? 0);
  }
});

describe("a chunk", () => {
  test("whose runners are lost each time is given up unrun, and its job still ends", async () => {
    const fake = new FakeJobStore();
    await submit(fake);
    const [poison] = fake.queue.all;
    if (poison !== undefined) poison.deliveries = DELIVERIES_MAX;
    const asked: number[] = [];
    const runner = runnerOf(fake, {
      serve: (question) => {
        asked.push(question.item);
        return serveAll(question);
      },
    });
    await expect.poll(() => fake.queue.waiting.length, POLL).toBe(0);
    await runner.stop();
    expect(Math.min(...asked)).toBe(64);
    const token = chunkToken(present(standing(fake), "the job").generation, 0);
    expect(fake.letters).toMatchObject([{ key: { token }, reason: { code: "GIVEN_UP" } }]);
    expect(standing(fake)).toMatchObject({ state: "done", failedItems: 64, deadChunks: 1 });
    expect(linesOf(fake)).toEqual(everyItem);
  });

  test.each([false, true])(
    "is not given up for a store that fails, waits unwritten: %s",
    async (un) => {
      const fake = new FakeJobStore();
      await submit(fake);
      let refusals = 3 * (DELIVERIES_MAX + 3);
      const full = fail(fault("STORAGE_FULL", "maximum bytes exceeded"));
      const changed = (store: JobStore): JobStore => ({
        ...store,
        results: {
          ...store.results,
          write: async (...args) => (refusals-- > 0 ? full : store.results.write(...args)),
        },
        records: {
          ...store.records,
          update: async (...args) => (un && refusals > 0 ? full : store.records.update(...args)),
        },
      });
      const runner = runnerOf(fake, { changed });
      await expect.poll(() => fake.queue.waiting.length, POLL).toBe(0);
      await runner.stop();
      expect(fake.letters).toEqual([]);
      expect(standing(fake)).toMatchObject({ state: "done", failedItems: 0, deadChunks: 0 });
      expect(linesOf(fake)).toEqual(everyItem);
    },
  );

  test("that the cluster cannot serve goes back, and that counts against no chunk", async () => {
    const fake = new FakeJobStore();
    await submit(fake);
    const isAway = fail(fault("NO_SCHEDULER", "nobody"));
    const runner = runnerOf(fake, { serve: () => isAway, slots: 1 });
    await expect.poll(() => standing(fake)?.waits ?? 0, { timeout: 15_000 }).toBeGreaterThan(2);
    await runner.stop();
    expect(fake.letters).toEqual([]);
    expect(fake.resultOf.size).toBe(0);
    const second = runnerOf(fake);
    await expect.poll(() => fake.queue.waiting.length, POLL).toBe(0);
    await second.stop();
    expect(standing(fake)).toMatchObject({ state: "done", failedItems: 0 });
  });

  test("of a model that cannot be served does not hold up the others behind it", async () => {
    const fake = new FakeJobStore();
    await submit(fake);
    // The same chunks of another model, first in the queue.
    for (const message of fake.queue.all) {
      const text = Buffer.from(message.bytes).toString().replace('"echo"', '"away"');
      Object.assign(message, { bytes: Buffer.from(text) });
    }
    const served: number[] = [];
    const serve: Serve = (question) => {
      if (question.model === "away") return fail(fault("NO_DEVICE", "none"));
      served.push(question.item);
      return serveAll(question);
    };
    const record = standing(fake) as JobRecord;
    fake.recordOf.set("acme.other", { ...record, id: "other", items: 1, chunks: 1 });
    const { generation } = record;
    const head = { v: 1, tenant: "acme", job: "other", generation, chunk: 0, model: "echo" };
    const bytes = Buffer.from(`${JSON.stringify({ ...head, first: 0, items: 1 })}\n{}`);
    const store = fake.start();
    await store.queue.add(subjects.job("acme", "echo"), "other", bytes);
    const runner = runnerOf(fake, { serve, slots: 1 });
    await expect.poll(() => served, { timeout: 5_000 }).toEqual([0]);
    await runner.stop();
  });

  test("of a cancelled job leaves the queue unrun", async () => {
    const fake = new FakeJobStore();
    const record = await submit(fake);
    fake.recordOf.set("acme.job", { ...(record as JobRecord), state: "cancelled", endedAtMs: 5 });
    const asked: number[] = [];
    const runner = runnerOf(fake, {
      serve: (question) => {
        asked.push(question.item);
        return serveAll(question);
      },
    });
    await expect.poll(() => fake.queue.waiting.length, POLL).toBe(0);
    await runner.stop();
    expect(asked).toEqual([]);
    expect(fake.resultOf.size).toBe(0);
  });

  test("stays in the queue while the storage is away", async () => {
    const fake = new FakeJobStore();
    await submit(fake);
    fake.outage = fault("DISCONNECTED", "away");
    const runner = runnerOf(fake, { slots: 1 });
    await sleep(20);
    expect(fake.queue.waiting).toHaveLength(3);
    fake.outage = undefined;
    await expect.poll(() => fake.queue.waiting.length, POLL).toBe(0);
    await runner.stop();
    expect(isEnded(standing(fake) as JobRecord)).toBe(true);
  });
});
