/** The storage of durable jobs on a real nats-server, with the rights that services have. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type Broker, inboxPrefix, startBroker, type User } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import {
  type Fault,
  fault,
  JOB_OBJECT_BUCKET,
  JOB_RESULT_STREAM,
  type JobRecord,
  RESULT_BYTES_MAX,
  subjects,
} from "@millrace/protocol";
import { fail, ok, present, type Result } from "@millrace/std";
import { jetstream } from "@nats-io/jetstream";
import { Objm, type ObjectStoreMeta } from "@nats-io/obj";
import { afterAll, beforeAll, expect, test } from "vitest";
import { digestOf, type JobStore, openJobStore, openStore, type Task } from "../src/index.ts";
import { BucketObjects } from "../src/jobs/job-objects.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const QUEUED_MAX = 20;
const HOUR_S = 3_600;

let directory: string;
let broker: Broker;
let store: JobStore;
let admin: JobStore;
const buses: Bus[] = [];

async function connectAs(user: User): Promise<Bus> {
  const bus = await connectBus({
    servers: [broker.url],
    name: `${user}-${buses.length}`,
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

const take = async (): Promise<Task> => present(value(await store.queue.take(5_000)), "a task");

const recordOf = (id: string, more: Partial<JobRecord> = {}): JobRecord => ({
  v: 1,
  id,
  tenant: "acme",
  model: "digits",
  state: "queued",
  generation: 1,
  createdAtMs: 1,
  items: 1,
  chunks: 1,
  finished: "",
  finishedItems: 0,
  failedItems: 0,
  deadChunks: 0,
  waits: 0,
  ...more,
});

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-jobs-"));
  broker = await startBroker({ directory });
  const { connection } = await connectAs("admin");
  const jobs = { queuedChunksMax: QUEUED_MAX };
  await openStore(connection, { create: true, jobs });
  // A second one leaves what is there, whatever it would have chosen.
  await openStore(connection, { create: true });
  admin = await openJobStore(connection);
  store = await openJobStore((await connectAs("ingress")).connection);
});

afterAll(async () => {
  for (const bus of buses) await bus.drain();
  await broker.stop();
  await rm(directory, { recursive: true });
});

test("a record is compared and set, read back, and listed for its tenant alone", async () => {
  const made = recordOf("j1");
  value(await store.records.update("acme", "j1", () => ok(made)));
  await store.records.update("other", "j2", () => ok({ ...recordOf("j2"), tenant: "other" }));
  expect(value(await store.records.read("acme", "j1")).record).toEqual(made);
  expect(value(await store.records.list("acme"))).toEqual(["j1"]);
  const counted = await Promise.all(
    Array.from({ length: 10 }, () =>
      store.records.update("acme", "j1", (record) => {
        const { waits, ...rest } = present(record, "j1");
        return ok({ ...rest, waits: waits + 1 });
      }),
    ),
  );
  expect(counted.every((result) => result.ok)).toBe(true);
  expect(value(await store.records.read("acme", "j1")).record?.waits).toBe(10);
});

test("a change that is refused writes nothing", async () => {
  const refused = await store.records.update("acme", "j9", () => fail(fault("JOB_CONFLICT", "no")));
  expect(refused).toMatchObject({ ok: false, error: { code: "JOB_CONFLICT" } });
  expect(value(await store.records.read("acme", "j9"))).toEqual({ record: undefined, revision: 0 });
});

test("a record with an end expires by itself, and can be begun anew", async () => {
  const keptMs = (): number => 1_000;
  value(await store.records.update("acme", "brief", () => ok(recordOf("brief")), keptMs));
  await expect
    .poll(async () => value(await store.records.read("acme", "brief")).record, { timeout: 5_000 })
    .toBeUndefined();
  value(await store.records.update("acme", "brief", () => ok(recordOf("brief"))));
  expect(value(await store.records.read("acme", "brief")).record?.id).toBe("brief");
});

test("a message is put in once, taken once, given back, and gone when it is done", async () => {
  const subject = subjects.job("acme", "digits");
  for (let at = 0; at < 3; at++) value(await store.queue.add(subject, "a:1", Buffer.from("a")));
  expect(value(await store.queue.count(subjects.job("acme", "*")))).toEqual(
    new Map([[subject, 1]]),
  );
  const first = await take();
  expect(Buffer.from(first.bytes).toString()).toBe("a");
  expect(first.deliveries).toBe(1);
  expect(value(await store.queue.take(1_000))).toBeUndefined();
  const givenBackMs = performance.now();
  first.again(300.5);
  const second = await take();
  expect(performance.now() - givenBackMs).toBeGreaterThan(250);
  expect(second.deliveries).toBe(2);
  expect(await second.done()).toBe(true);
  expect(value(await store.queue.take(1_000))).toBeUndefined();
});

test("a tenant's queue for a model has a bound, and another's has its own", async () => {
  const subject = subjects.job("greedy", "digits");
  for (let at = 0; at < QUEUED_MAX; at++) {
    value(await store.queue.add(subject, `g:${at}`, Buffer.from("x")));
  }
  const refused = await store.queue.add(subject, "g:more", Buffer.from("x"));
  expect(refused).toMatchObject({ ok: false, error: { code: "JOBS_FULL" } });
  value(await store.queue.add(subjects.job("other", "digits"), "o:1", Buffer.from("x")));
  for (let at = 0; at <= QUEUED_MAX; at++) await (await take()).done();
});

test("one tenant's backlog does not stand before another's chunk", async () => {
  for (let at = 0; at < QUEUED_MAX; at++) {
    value(await store.queue.add(subjects.job("greedy", "digits"), `b:${at}`, Buffer.from("g")));
  }
  value(await store.queue.add(subjects.job("modest", "digits"), "m:1", Buffer.from("m")));
  const taken: string[] = [];
  for (let at = 0; at <= QUEUED_MAX; at++) {
    const task = await take();
    taken.push(Buffer.from(task.bytes).toString());
    await task.done();
  }
  expect(taken.filter((tenant) => tenant === "g")).toHaveLength(QUEUED_MAX);
  expect(taken.indexOf("m")).toBeLessThanOrEqual(2);
});

test("what is at hand when a queue is closed is given to another", async () => {
  const { connection } = await connectAs("ingress");
  const closing = (await openJobStore(connection)).queue;
  for (const tenant of ["greedy", "modest", "acme"]) {
    const subject = subjects.job(tenant, "digits");
    value(await store.queue.add(subject, `c:${tenant}`, Buffer.from(tenant)));
  }
  const first = present(value(await closing.take(5_000)), "a task");
  closing.close();
  expect(value(await closing.take(5_000))).toBeUndefined();
  await first.done();
  const others: string[] = [];
  for (let left = 2; left > 0; left--) {
    const task = await take();
    others.push(Buffer.from(task.bytes).toString());
    await task.done();
  }
  expect([Buffer.from(first.bytes).toString(), ...others].toSorted()).toEqual([
    "acme",
    "greedy",
    "modest",
  ]);
});

test("the first result of a chunk stands, whoever writes after it (I5)", async () => {
  const key = { tenant: "acme", job: "j3", token: "1-0" };
  const first = { items: 2, failed: 1, dead: false };
  expect(value(await store.results.find(key))).toBeUndefined();
  expect(value(await store.results.write(key, first, Buffer.from("one")))).toEqual(first);
  const late = { items: 2, failed: 0, dead: false };
  expect(value(await store.results.write(key, late, Buffer.from("two")))).toEqual(first);
  expect(value(await store.results.find(key))).toEqual(first);
  expect(Buffer.from(present(value(await store.results.read(key)), "lines")).toString()).toBe(
    "one",
  );
});

test("results that are larger than a message come back whole", async () => {
  const key = { tenant: "acme", job: "j3", token: "1-1" };
  const lines = Buffer.alloc(RESULT_BYTES_MAX * 2, "0123456789\n");
  value(await store.results.write(key, { items: 1, failed: 0, dead: false }, lines));
  expect(lines.equals(present(value(await store.results.read(key)), "lines"))).toBe(true);
});

test("results are kept a day after the end of a job that took a day", async () => {
  const key = { tenant: "acme", job: "slow", token: "1-0" };
  value(await store.results.write(key, { items: 1, failed: 0, dead: false }, Buffer.from("1")));
  const { connection } = await connectAs("admin");
  const { streams } = await jetstream(connection).jetstreamManager(false);
  const subject = subjects.jobResult(key.tenant, key.job, key.token);
  const stored = await streams.getMessage(JOB_RESULT_STREAM, { last_by_subj: subject });
  const lifeS = Number.parseInt(present(stored, "the result").header.get("Nats-TTL"), 10);
  expect(lifeS).toBeGreaterThanOrEqual(48 * HOUR_S);
  // Nor do the streams end them, for the longest that may be configured: two days and two days.
  for (const stream of [JOB_RESULT_STREAM, `OBJ_${JOB_OBJECT_BUCKET}`]) {
    const { config } = await streams.info(stream);
    expect(config.max_age / 1e9).toBeGreaterThanOrEqual(96 * HOUR_S);
  }
});

test("an upload is stored by its content, for its tenant alone", async () => {
  const bytes = Buffer.alloc(1_500_000, "object");
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
  };
  const upload = () => ({ source: pieces(), bytesMax: 2_000_000 });
  const digest = await digestOf(bytes);
  const stored = { digest, bytes: bytes.length };
  expect(value(await store.objects.receive("acme", upload()))).toEqual(stored);
  // Again: the same object.
  expect(value(await store.objects.receive("acme", upload()))).toEqual(stored);
  expect(bytes.equals(value(await store.objects.read("acme", digest)))).toBe(true);
  const code = async (result: Promise<Result<unknown, Fault>>) => {
    const found = await result;
    return found.ok ? "ok" : found.error.code;
  };
  expect(await code(store.objects.read("other", digest))).toBe("OBJECT_NOT_FOUND");
  const large = { ...upload(), bytesMax: 1_000_000 };
  expect(await code(store.objects.receive("other", large))).toBe("BODY_TOO_LARGE");
  const wrong = { ...upload(), expected: "0".repeat(64) };
  expect(await code(store.objects.receive("other", wrong))).toBe("INVALID_REQUEST");
  const breaking = async function* (): AsyncGenerator<Uint8Array> {
    yield* pieces();
    throw new Error("aborted");
  };
  const broken = { ...upload(), source: breaking() };
  expect(await code(store.objects.receive("other", broken))).toBe("TRUNCATED_BODY");
  expect(await code(store.objects.read("other", digest))).toBe("OBJECT_NOT_FOUND");
});

test("uploads of the same bytes at the same time are all stored", async () => {
  const bytes = Buffer.from("the same bytes");
  const uploads = Array.from({ length: 8 }, () =>
    store.objects.receive("many", { source: Readable.from([bytes]), bytesMax: 100 }),
  );
  const digest = await digestOf(bytes);
  for (const upload of await Promise.all(uploads)) {
    expect(value(upload)).toEqual({ digest, bytes: bytes.length });
  }
  expect(bytes.equals(value(await store.objects.read("many", digest)))).toBe(true);
});

test("an upload whose name is another's, and then nobody's, is filed after all", async () => {
  const client = jetstream((await connectAs("ingress")).connection, { checkAPI: false });
  const bucket = await new Objm(client).open(JOB_OBJECT_BUCKET, false);
  let lost = 0;
  const raced = Object.assign(Object.create(bucket) as typeof bucket, {
    update: (name: string, meta: ObjectStoreMeta) =>
      lost++ === 0 ? Promise.reject(new Error("the name is taken")) : bucket.update(name, meta),
  });
  const bytes = Buffer.from("between two others");
  const source = Readable.from([bytes]);
  const objects = new BucketObjects(client, raced);
  const { digest } = value(await objects.receive("third", { source, bytesMax: 100 }));
  expect(bytes.equals(value(await objects.read("third", digest)))).toBe(true);
});

test("an object whose bytes are gone is a fault, not a wait for ever", async () => {
  const digest = value(await store.objects.put("acme", Buffer.alloc(1_500_000, "gone")));
  const ingress = await connectAs("ingress");
  const { streams } = await jetstream(ingress.connection).jetstreamManager(false);
  await streams.purge(`OBJ_${JOB_OBJECT_BUCKET}`, { filter: `$O.${JOB_OBJECT_BUCKET}.C.>` });
  const read = await store.objects.read("acme", digest);
  expect(read.ok ? "ok" : read.error.code).toBe("INTERNAL");
}, 15_000);

test("a dead letter is filed once, listed and taken away by admin", async () => {
  const key = { tenant: "acme", job: "j4", token: "1-7" };
  const reason = fault("GIVEN_UP", "too\noften");
  for (let at = 0; at < 2; at++) value(await store.results.bury(key, reason, Buffer.from("c")));
  const [letter, ...more] = value(await admin.dead.list());
  expect(more).toEqual([]);
  expect(letter).toMatchObject({ ...key, code: "GIVEN_UP", reason: "too often" });
  expect(value(await admin.dead.list("other"))).toEqual([]);
  value(await admin.dead.remove(present(letter, "the letter")));
  expect(value(await admin.dead.list())).toEqual([]);
});

test("what was acknowledged is there after the broker was killed", async () => {
  const subject = subjects.job("acme", "digits");
  for (let at = 0; at < 10; at++) {
    value(await store.queue.add(subject, `k:${at}`, Buffer.from(`${at}`)));
  }
  broker.kill();
  // Written while nobody is there to take it: it is tried until somebody is.
  value(await store.queue.add(subject, "k:10", Buffer.from("10")));
  const found = new Set<string>();
  while (found.size < 11) {
    const task = await take();
    found.add(Buffer.from(task.bytes).toString());
    await task.done();
  }
  expect([...found].map(Number).toSorted((a, b) => a - b)).toEqual([...Array(11).keys()]);
});
