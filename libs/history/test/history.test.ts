/** Facts, documents and the lease, on a real server with the users' real rights. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Broker, inboxPrefix, startBroker, type User } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { LOAD_MINUTE_STREAM, type LoadFact } from "@millrace/protocol";
import { PAGE_MAX } from "@millrace/store";
import { jetstream } from "@nats-io/jetstream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createHistory,
  Documents,
  Lease,
  openHourFacts,
  openLedger,
  openMinuteFacts,
} from "../src/index.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

let directory: string;
let broker: Broker;
const open = new AsyncDisposableStack();

async function connect(user: User): Promise<Bus> {
  return open.use(
    await connectBus({
      servers: [broker.url],
      name: `${user}-test`,
      seed: broker.seed(user),
      inboxPrefix: inboxPrefix(user),
      log: silent,
    }),
  );
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-history-"));
  broker = await startBroker({ directory });
  const admin = await connect("admin");
  await createHistory(admin.connection);
  // What is there stays as it is.
  await createHistory(admin.connection);
});

afterAll(async () => {
  await open.disposeAsync();
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

const fact = (minute: number, arrivals: number, model = "digits"): LoadFact => ({
  v: 1,
  model,
  priority: "standard",
  source: "ingress-1",
  atUs: minute * 60_000_000,
  spanUs: 60_000_000,
  arrivals,
  served: arrivals,
  refused: 0,
  failed: 0,
  rows: arrivals,
  inputTokens: 0,
  outputTokens: 0,
  inputBytes: 0,
  outputBytes: 0,
  queueUs: 0,
  computeUs: 0,
  crossingBytes: 0,
});

describe("load facts", () => {
  test("that an ingress writes twice are read once, in order, by the forecaster", async () => {
    const writer = openMinuteFacts((await connect("ingress")).connection);
    const reader = openMinuteFacts((await connect("forecaster")).connection);
    for (const minute of [1, 2, 2, 3]) {
      expect(await writer.append(fact(minute, minute * 10))).toEqual({
        ok: true,
        value: undefined,
      });
    }
    await writer.append(fact(3, 5, "sms-spam"));
    const all = await reader.read();
    expect(all.ok && all.value.map(({ model, arrivals }) => [model, arrivals])).toEqual([
      ["digits", 10],
      ["digits", 20],
      ["digits", 30],
      ["sms-spam", 5],
    ]);
    const one = await reader.read({ subject: "mr.load.minute.sms-spam" });
    expect(one.ok && one.value.length).toBe(1);
    const later = await reader.read({ sinceUs: Date.now() * 1000 + 60_000_000 });
    expect(later).toEqual({ ok: true, value: [] });
  });

  test("come page by page, from where the last page ended, whatever is removed", async () => {
    const { connection } = await connect("admin");
    const { streams } = await jetstream(connection).jetstreamManager(false);
    const log = openMinuteFacts(connection);
    const minutes = Array.from({ length: 2_500 }, (_, at) => at + 100);
    const { last_seq: before } = (await streams.info(LOAD_MINUTE_STREAM)).state;
    const facts = minutes.map((minute) =>
      fact(minute, minute, minute % 50 === 0 ? "rare" : "often"),
    );
    for (let at = 0; at < facts.length; at += 250) {
      await Promise.all(facts.slice(at, at + 250).map((each) => log.append(each)));
    }
    for (const seq of [2, 3, 1_100]) await streams.deleteMessage(LOAD_MINUTE_STREAM, before + seq);
    const reader = openMinuteFacts((await connect("forecaster")).connection);
    const pages: number[][] = [];
    let fromSeq = before + 1;
    const take = (page: readonly LoadFact[], nextSeq: number): void => {
      pages.push(page.map(({ arrivals }) => arrivals));
      fromSeq = nextSeq;
    };
    expect(await reader.readPages({ fromSeq }, take)).toMatchObject({ ok: true });
    const left = minutes.filter((minute) => ![101, 102, 1_199].includes(minute));
    expect(pages.flat()).toEqual(left);
    expect(pages.length).toBeGreaterThan(2);
    expect(Math.max(...pages.map((page) => page.length))).toBeLessThanOrEqual(PAGE_MAX);
    pages.length = 0;
    expect(await reader.readPages({ fromSeq }, take)).toMatchObject({ ok: true });
    expect(pages).toEqual([[]]);
    const rare = await reader.read({ subject: "mr.load.minute.rare" });
    expect(rare.ok && rare.value.map(({ arrivals }) => arrivals)).toEqual(
      minutes.filter((minute) => minute % 50 === 0),
    );
    await log.append(fact(5_000, 5_000));
    const last = await streams.getMessage(LOAD_MINUTE_STREAM, { last_by_subj: ">" });
    const sinceUs = (last?.time.getTime() ?? 0) * 1000;
    const since = await reader.read({ sinceUs });
    expect(since.ok && since.value.at(-1)?.arrivals).toBe(5_000);
    expect(since.ok && since.value.length).toBeLessThan(300);
    await streams.purge(LOAD_MINUTE_STREAM, { filter: "mr.load.minute.rare" });
    await streams.purge(LOAD_MINUTE_STREAM, { filter: "mr.load.minute.often" });
    await streams.deleteMessage(LOAD_MINUTE_STREAM, last?.seq ?? 0);
  }, 20_000);

  test("that were read leave no consumer at the broker", async () => {
    const { connection } = await connect("forecaster");
    const { streams } = await jetstream(connection).jetstreamManager(false);
    const reader = openMinuteFacts(connection);
    for (let reads = 0; reads < 3; reads++) expect((await reader.read()).ok).toBe(true);
    const count = async (): Promise<number> =>
      (await streams.info(LOAD_MINUTE_STREAM)).state.consumer_count;
    for (let tries = 0; (await count()) > 0 && tries < 50; tries++) await sleep(20);
    expect(await count()).toBe(0);
  });

  test("of hours are not for an ingress to write", async () => {
    const writer = openHourFacts((await connect("ingress")).connection);
    const written = await writer.append({ ...fact(60, 1), spanUs: 3_600_000_000 });
    expect(written.ok).toBe(false);
  });

  test("outlive a restart of the broker", async () => {
    const reader = openMinuteFacts((await connect("forecaster")).connection);
    await broker.restart();
    let read = await reader.read();
    for (let tries = 0; !read.ok && tries < 50; tries++) {
      await sleep(100);
      read = await reader.read();
    }
    expect(read.ok && read.value.length).toBe(4);
  });
});

test("parts of a minute of the ledger are kept apart, and a repeated one is one", async () => {
  const ledger = openLedger((await connect("forecaster")).connection);
  const whole = { v: 1, atUs: 0, spanUs: 60_000_000, kind: "gpu-l4", zone: "east" } as const;
  const pool = { ...whole, lifecycle: "spot", crossingBytes: 0 } as const;
  for (const [epoch, part, workerUs] of [
    [7, 0, 10],
    [9, 0, 20],
    [9, 1, 30],
    [9, 0, 20],
  ] as const) {
    expect((await ledger.append({ ...pool, epoch, part, workerUs })).ok).toBe(true);
  }
  const read = await ledger.read();
  expect(read.ok && read.value.map(({ workerUs }) => workerUs)).toEqual([10, 20, 30]);
});

test("a document is not written over from a lower epoch", async () => {
  const documents = await Documents.open((await connect("forecaster")).connection);
  const put = (epoch: number, content: string) =>
    documents.put("plan", { epoch, atUs: 1, content });
  expect(await documents.get("plan")).toEqual({ ok: true, value: undefined });
  expect((await put(7, "by seven")).ok).toBe(true);
  expect((await put(7, "by seven again")).ok).toBe(true);
  const late = await put(6, "by six");
  expect(late.ok ? undefined : late.error.code).toBe("LEASE_LOST");
  const there = await documents.get("plan");
  expect(there.ok && there.value?.content).toBe("by seven again");
});

describe("a lease", () => {
  const until = async (condition: () => boolean, msMax = 6_000): Promise<number> => {
    const beganMs = performance.now();
    while (!condition()) {
      if (performance.now() - beganMs > msMax) throw new Error(`not in ${msMax} ms`);
      await sleep(10);
    }
    return performance.now() - beganMs;
  };
  const take = async (holder: string, bus: Bus): Promise<Lease> =>
    Lease.open(bus.connection, { name: "forecaster", holder, log: silent });

  test("is held by one, renewed beyond its time, and handed over when it is given up", async () => {
    const first = await take("one", await connect("forecaster"));
    await until(() => first.epoch !== undefined);
    const second = await take("two", await connect("forecaster"));
    const epoch = first.epoch ?? 0;
    // Twice its time to live: a renewal that lost the time to live would not be seen here, but
    // below.
    for (let look = 0; look < 40; look++) {
      await sleep(100);
      expect(second.epoch).toBeUndefined();
      expect(first.epoch).toBe(epoch);
    }
    await first[Symbol.asyncDispose]();
    expect(first.epoch).toBeUndefined();
    expect(await until(() => second.epoch !== undefined)).toBeLessThan(1_500);
    expect(second.epoch).toBeGreaterThan(epoch);
    await second[Symbol.asyncDispose]();
  });

  test("that was renewed ends by itself when its holder is cut off, who stops before", async () => {
    const bus = await connect("forecaster");
    const first = await take("one", bus);
    await until(() => first.epoch !== undefined);
    const epoch = first.epoch ?? 0;
    await sleep(2_500);
    const second = await take("two", await connect("forecaster"));
    await bus.drain();
    while (first.epoch !== undefined) {
      expect(second.epoch).toBeUndefined();
      await sleep(5);
    }
    await until(() => second.epoch !== undefined);
    expect(second.epoch).toBeGreaterThan(epoch);
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
  });
});
