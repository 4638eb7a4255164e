/** What becomes of blobs that no model needs, on a real nats-server, beside those who put them. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, inboxPrefix, startBroker } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { type Fault, type ModelRecord, REGISTRY_BUCKET } from "@millrace/protocol";
import { ok, present, type Result } from "@millrace/std";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addVersion, openStore, type Store, type StoredBlob, sweepBlobs } from "../src/index.ts";
import { unusedBlobs } from "../src/sweep.ts";
import { digestNumber, draft, record } from "./specs.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const HOUR_MS = 3_600_000;

let directory: string;
let broker: Broker;
let admin: Bus;
let store: Store;

function value<T>(result: Result<T, Fault>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

/** Bytes that no other test has. */
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text.repeat(1000));

const putBlob = async (text: string): Promise<string> =>
  value(await store.blobs.put(bytesOf(text)));

const find = async (digest: string): Promise<StoredBlob | undefined> =>
  value(await store.blobs.list()).find((blob) => blob.digest === digest);

const modelOf = (name: string, digest: string): ModelRecord =>
  value(addVersion(undefined, draft(name, { digest })));

const later = (): number => Date.now() + 2 * HOUR_MS;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-sweep-"));
  broker = await startBroker({ directory });
  admin = await connectBus({
    servers: [broker.url],
    name: "admin",
    seed: broker.seed("admin"),
    inboxPrefix: inboxPrefix("admin"),
    log: silent,
  });
  store = await openStore(admin.connection, { create: true });
});

afterAll(async () => {
  await admin.drain();
  await broker.stop();
  await rm(directory, { recursive: true });
});

test("a blob goes with the last record that needs it, another when it was unused for long", () => {
  const nowMs = 10 * HOUR_MS;
  const stored = [1, 2, 3, 4].map((number) => ({
    digest: digestNumber(number),
    putAtMs: number === 3 ? 0 : nowMs,
    revision: number,
  }));
  // The first is needed by what is left, too; the fourth may be a push's that goes on.
  const facts = { stored, gone: [record("m", 2)], left: [record("n", 1)], nowMs };
  expect(unusedBlobs(facts).map(({ digest }) => digest)).toEqual([2, 3].map(digestNumber));
});

describe("a sweep", () => {
  test("leaves what a push may still register, and takes it when it is old", async () => {
    const needed = await putBlob("needed");
    value(await store.registry.update("needed", () => ok(modelOf("needed", needed))));
    const orphan = await putBlob("orphan");
    expect(value(await sweepBlobs(store, [], Date.now()))).toEqual([]);
    expect(value(await sweepBlobs(store, [], later()))).toEqual([orphan]);
    expect(await find(orphan)).toBeUndefined();
    expect(await store.blobs.read(orphan)).toMatchObject({ error: { code: "LOAD_FAILED" } });
    expect(value(await store.blobs.read(needed))).toEqual(bytesOf("needed"));
  });

  test("leaves what was put again while it looked at the registry", async () => {
    const digest = await putBlob("raced");
    const gone = [modelOf("raced", digest)];
    const listAll = async () => {
      const left = await store.registry.listAll();
      await putBlob("raced");
      return left;
    };
    const raced = { blobs: store.blobs, registry: { listAll } };
    expect(value(await sweepBlobs(raced, gone, later()))).toEqual([]);
    expect(value(await store.blobs.read(digest))).toEqual(bytesOf("raced"));
    expect(value(await sweepBlobs(store, gone, Date.now()))).toEqual([digest]);
  });

  test("takes nothing where a record cannot be read: it may need anything", async () => {
    const digest = await putBlob("perhaps");
    const key = `$KV.${REGISTRY_BUCKET}.scrap`;
    await admin.connection.request(key, new TextEncoder().encode("{}"));
    const refused = await sweepBlobs(store, [], later());
    expect(refused).toMatchObject({ error: { code: "INTERNAL" } });
    expect(await find(digest)).toBeDefined();
  });
});

describe("a blob", () => {
  test("is removed once, and can be put again", async () => {
    const blob = present(await find(await putBlob("removed")), "the blob");
    expect(value(await store.blobs.remove(blob))).toBe(true);
    expect(value(await store.blobs.remove(blob))).toBe(false);
    expect(value(await store.blobs.touch(blob.digest))).toBe(false);
    expect(await store.blobs.read(blob.digest)).toMatchObject({ error: { code: "LOAD_FAILED" } });
    await putBlob("removed");
    expect(value(await store.blobs.read(blob.digest))).toEqual(bytesOf("removed"));
  });

  test("that was touched is another one to whoever removes it", async () => {
    const blob = present(await find(await putBlob("touched")), "the blob");
    expect(value(await store.blobs.touch(blob.digest))).toBe(true);
    expect(value(await store.blobs.remove(blob))).toBe(false);
    expect((await find(blob.digest))?.putAtMs).toBeGreaterThanOrEqual(blob.putAtMs);
    expect(value(await store.blobs.read(blob.digest))).toEqual(bytesOf("touched"));
  });
});
