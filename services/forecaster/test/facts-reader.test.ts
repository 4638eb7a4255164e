/** Load facts from a real stream: each once, after a restart too, and hours written once. */

import { setTimeout as sleep } from "node:timers/promises";
import { startBroker } from "@millrace/broker";
import type { Bus } from "@millrace/bus";
import { createHistory, openHourFacts, openMinuteFacts } from "@millrace/history";
import { factKey } from "@millrace/load-facts";
import type { LoadFact } from "@millrace/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BrokerStand, silent } from "./broker-stand.ts";
import { FactsReader } from "../src/facts-reader.ts";

const MINUTE_US = 60_000_000;
const HOUR_US = 60 * MINUTE_US;
const SETTLED_US = 5 * MINUTE_US;
const HOURS = 1_000;

let stand: BrokerStand;
let forecaster: Bus;
let ingress: Bus;

beforeEach(async () => {
  stand = await BrokerStand.start();
  await createHistory((await stand.connect("admin")).connection);
  forecaster = await stand.connect("forecaster");
  ingress = await stand.connect("ingress");
});

afterEach(async () => {
  await stand[Symbol.asyncDispose]();
});

const fact = (hour: number, minute: number, change: Partial<LoadFact> = {}): LoadFact => ({
  v: 1,
  model: "digits",
  priority: "standard",
  source: "ingress-1",
  tenant: "key-1",
  atUs: (HOURS + hour) * HOUR_US + minute * MINUTE_US,
  spanUs: MINUTE_US,
  arrivals: 1,
  served: 1,
  refused: 0,
  failed: 0,
  rows: 1,
  inputTokens: 0,
  outputTokens: 0,
  inputBytes: 0,
  outputBytes: 0,
  queueUs: 0,
  computeUs: 10,
  crossingBytes: 0,
  ...change,
});

async function write(...facts: readonly LoadFact[]): Promise<void> {
  const log = openMinuteFacts(ingress.connection);
  for (const each of facts) expect((await log.append(each)).ok).toBe(true);
}

function reader(epoch = 1) {
  const seen: LoadFact[] = [];
  const lease: { epoch: number | undefined } = { epoch };
  const { connection } = forecaster;
  const add = (each: LoadFact): number => seen.push(each);
  return {
    seen,
    lease,
    reader: new FactsReader({ connection, log: silent, add, epoch: () => lease.epoch }),
  };
}

const hours = async (): Promise<LoadFact[]> => {
  const read = await openHourFacts(forecaster.connection).read();
  if (!read.ok) throw new Error(read.error.message);
  return read.value;
};

/** When the hour may be rolled up. */
const after = (hour: number): number => (HOURS + hour + 1) * HOUR_US + SETTLED_US;

test("each fact is told once, however often it is read", async () => {
  const { reader: one, seen } = reader();
  await write(fact(0, 0), fact(0, 1));
  expect(await one.read()).toBe(true);
  await write(fact(0, 2));
  expect(await one.read()).toBe(true);
  expect(await one.read()).toBe(true);
  expect(seen).toEqual([fact(0, 0), fact(0, 1), fact(0, 2)]);
});

test("a reader that starts again is told everything that is kept", async () => {
  await write(fact(0, 0), fact(0, 1));
  await reader().reader.read();
  const { reader: next, seen } = reader();
  await next.read();
  expect(seen).toHaveLength(2);
});

test("an hour is rolled up when it is over and settled, by model and key", async () => {
  const { reader: one } = reader();
  await write(
    fact(0, 0),
    fact(0, 59, { source: "ingress-2" }),
    fact(0, 30, { tenant: "key-2", computeUs: 5 }),
    fact(1, 0),
  );
  await one.read();
  await one.rollUp(after(0) - 1, 1);
  expect(await hours()).toEqual([]);
  await one.rollUp(after(0), 1);
  const rolled = await hours();
  expect(rolled.map(({ tenant, arrivals, computeUs }) => [tenant, arrivals, computeUs])).toEqual([
    ["key-1", 2, 20],
    ["key-2", 1, 5],
  ]);
  expect(rolled[0]).toMatchObject({ source: "all", spanUs: HOUR_US, atUs: HOURS * HOUR_US });
});

test("hours are written once: again, by another one, and by one that is late", async () => {
  await write(fact(0, 0), fact(1, 0), fact(2, 0));
  const { reader: one } = reader();
  await one.read();
  await one.rollUp(after(0), 1);
  await one.rollUp(after(0), 1);
  // Its successor begins where it ended.
  const { reader: next } = reader();
  await next.read();
  await next.rollUp(after(1), 2);
  // The first one has the lease again, and has seen the same facts.
  await one.rollUp(after(1), 3);
  const rolled = await hours();
  expect(rolled.map(({ atUs, arrivals }) => [atUs / HOUR_US - HOURS, arrivals])).toEqual([
    [0, 1],
    [1, 1],
  ]);
});

test("an hour that was left half done is finished by the next one", async () => {
  const half = fact(0, 0, { source: "all", spanUs: 3_600_000_000 });
  const written = await openHourFacts(forecaster.connection).append(half);
  expect(written.ok).toBe(true);
  await write(fact(0, 0), fact(0, 0, { model: "words" }));
  const { reader: next } = reader();
  await next.read();
  await next.rollUp(after(0), 2);
  expect((await hours()).map(({ model }) => model)).toEqual(["digits", "words"]);
});

/** What a reader of the hours counts: parts add up, each once. */
const arrivals = async (): Promise<Record<string, number>> => {
  const sums: Record<string, number> = {};
  const once = new Map((await hours()).map((each) => [factKey(each), each]));
  for (const each of once.values()) {
    const name = `${each.model} ${each.atUs / HOUR_US - HOURS}`;
    sums[name] = (sums[name] ?? 0) + each.arrivals;
  }
  return sums;
};

/** Long enough for what is not to come. */
const pause = (): Promise<void> => sleep(300);

test("what comes for an hour that was rolled up is added to it, once", async () => {
  const { reader: one } = reader();
  await write(fact(0, 0), fact(0, 1), fact(1, 0));
  await one.read();
  await one.rollUp(after(1), 1);
  await write(fact(0, 1, { source: "ingress-2" }), fact(0, 30, { model: "words" }), fact(-9, 0));
  await one.read();
  await one.rollUp(after(1), 1);
  await one.rollUp(after(1) + SETTLED_US - 1, 1);
  await pause();
  expect(await arrivals()).toEqual({ "digits 0": 2, "digits 1": 1 });
  const whole = { "digits -9": 1, "digits 0": 3, "digits 1": 1, "words 0": 1 };
  await one.rollUp(after(1) + SETTLED_US, 1);
  await expect.poll(arrivals).toEqual(whole);
  // The next one looks at the last day again, and finds nothing missing.
  const { reader: next } = reader(2);
  await next.read();
  await next.rollUp(after(2), 2);
  await next.rollUp(after(2) + SETTLED_US, 2);
  await pause();
  expect(await arrivals()).toEqual(whole);
  expect(await hours()).toHaveLength(5);
});

test("what came late to the last hour, and is late a second time, is added as often", async () => {
  const { reader: one } = reader();
  await write(fact(0, 0));
  await one.read();
  await one.rollUp(after(0), 1);
  for (const minute of [1, 2]) {
    await write(fact(0, minute));
    await one.read();
    await one.rollUp(after(minute), 1);
    await one.rollUp(after(minute) + SETTLED_US, 1);
    await expect.poll(arrivals).toEqual({ "digits 0": 1 + minute });
  }
});

test("what came while nobody held the lease is added by the next one", async () => {
  const { reader: one } = reader();
  await write(fact(0, 0));
  await one.read();
  await one.rollUp(after(0), 1);
  await write(fact(0, 1));
  const { reader: next } = reader(2);
  await next.read();
  await next.rollUp(after(0), 2);
  await next.rollUp(after(0) + SETTLED_US, 2);
  await expect.poll(arrivals).toEqual({ "digits 0": 2 });
});

test("without the lease nothing is added; with it again, what another left out", async () => {
  const { lease, reader: one } = reader();
  await write(fact(0, 0));
  await one.read();
  await one.rollUp(after(0), 1);
  await write(fact(0, 1));
  await one.read();
  await one.rollUp(after(0), 1);
  lease.epoch = undefined;
  await one.rollUp(after(0) + SETTLED_US, 1);
  await pause();
  expect(await arrivals()).toEqual({ "digits 0": 1 });
  lease.epoch = 3;
  await one.rollUp(after(1), 3);
  await one.rollUp(after(1) + SETTLED_US, 3);
  await expect.poll(arrivals).toEqual({ "digits 0": 2 });
});

test("an hour that a clock rolled up too early has all of its minutes in the end", async () => {
  const { reader: one } = reader();
  await write(fact(0, 0), fact(1, 0));
  await one.read();
  await one.rollUp(after(1_440), 1);
  await write(fact(1, 1), fact(2, 0));
  await one.read();
  await one.rollUp(after(1), 1);
  await one.rollUp(after(2), 1);
  await expect.poll(arrivals).toEqual({ "digits 0": 1, "digits 1": 2, "digits 2": 1 });
});

test("a storage that does not answer loses nothing", async () => {
  await write(fact(0, 0));
  const { reader: one, seen } = reader();
  await one.read();
  await stand.broker.stop();
  expect(await one.read()).toBe(false);
  expect(seen).toHaveLength(1);
  stand.broker = await startBroker({ directory: stand.directory });
});
