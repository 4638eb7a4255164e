/** Dead letters of jobs on a real broker: what is listed, and what a replay does. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, inboxPrefix, startBroker, type User } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { encodeChunk } from "@millrace/jobs";
import { type Fault, fault, type JobRecord, subjects } from "@millrace/protocol";
import { ok, present, type Result } from "@millrace/std";
import { type JobStore, openJobStore, openStore } from "@millrace/store";
import { afterAll, beforeAll, expect, test } from "vitest";
import { replayLetter } from "../src/job-dead.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const KEY = { tenant: "acme", job: "j1", token: "1-0" };
const REASON = fault("GIVEN_UP", "too often");

let directory: string;
let broker: Broker;
let ingress: JobStore;
let admin: JobStore;
const buses: Bus[] = [];

async function connectAs(user: User): Promise<Bus> {
  const bus = await connectBus({
    servers: [broker.url],
    name: user,
    seed: broker.seed(user),
    inboxPrefix: inboxPrefix(user),
    log: silent,
  });
  buses.push(bus);
  return bus;
}

function value<T>(result: Result<T, Fault>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

const ended: JobRecord = {
  v: 1,
  id: KEY.job,
  tenant: KEY.tenant,
  model: "digits",
  state: "failed",
  generation: 1,
  createdAtMs: 1,
  endedAtMs: 2,
  items: 1,
  chunks: 1,
  finished: "0",
  finishedItems: 1,
  failedItems: 1,
  deadChunks: 1,
  waits: 0,
  digest: "0".repeat(64),
};

const chunk = encodeChunk({
  head: { v: 1, ...KEY, generation: 1, chunk: 0, model: "digits", first: 0, items: 1 },
  items: [{ ok: true, json: "{}" }],
});

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-dead-"));
  broker = await startBroker({ directory });
  const { connection } = await connectAs("admin");
  await openStore(connection, { create: true });
  admin = await openJobStore(connection);
  ingress = await openJobStore((await connectAs("ingress")).connection);
});

afterAll(async () => {
  for (const bus of buses) await bus.drain();
  await broker.stop();
  await rm(directory, { recursive: true });
});

test("a replay opens the job, clears the result, and queues the chunk again", async () => {
  value(await ingress.records.update(KEY.tenant, KEY.job, () => ok(ended)));
  const counts = { items: 1, failed: 1, dead: true };
  value(await ingress.results.bury(KEY, REASON, chunk));
  value(await ingress.results.write(KEY, counts, Buffer.from("{}\n")));
  const [letter] = value(await admin.dead.list());
  expect(await replayLetter(admin, present(letter, "the letter"))).toMatch(/in the queue again/);
  const { record } = value(await ingress.records.read(KEY.tenant, KEY.job));
  expect(record).toMatchObject({ state: "queued", finished: "", finishedItems: 0, failedItems: 0 });
  expect(value(await ingress.results.find(KEY))).toBeUndefined();
  expect(value(await admin.dead.list())).toEqual([]);
  const task = present(value(await ingress.queue.take(5_000)), "the chunk");
  expect(task.subject).toBe(subjects.job("acme", "digits"));
  expect(Buffer.from(task.bytes).equals(chunk)).toBe(true);
  await task.done();
  // Its new result stands, and so does a letter's, if it is given up once more.
  expect(value(await ingress.results.write(KEY, { ...counts, dead: false }, chunk)).dead).toBe(
    false,
  );
});

test("a letter whose chunk was done after all is only removed", async () => {
  value(await ingress.results.bury(KEY, REASON, chunk));
  const [letter] = value(await admin.dead.list());
  expect(await replayLetter(admin, present(letter, "the letter"))).toMatch(/somebody else/);
  expect(value(await admin.dead.list())).toEqual([]);
  expect(value(await ingress.queue.count(subjects.job("*", "*"))).size).toBe(0);
});

test("a letter of a job that is no longer kept stays, and says so", async () => {
  const gone = { ...KEY, job: "gone" };
  value(await ingress.results.bury(gone, REASON, chunk));
  const [letter] = value(await admin.dead.list("acme", "gone"));
  expect(await replayLetter(admin, present(letter, "the letter"))).toMatch(/no longer kept/);
  expect(value(await admin.dead.list("acme", "gone"))).toHaveLength(1);
});
