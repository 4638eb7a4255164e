/** The registry and the blobs on a real nats-server, restarts, races and damage included. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Broker, inboxPrefix, startBroker, type User } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import {
  BLOB_BUCKET,
  encodeJson,
  type Fault,
  type ModelRecord,
  REGISTRY_BUCKET,
} from "@millrace/protocol";
import { fail, ok, present, type Result } from "@millrace/std";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { activate, addVersion, digestOf, openStore, setLoaded, type Store } from "../src/index.ts";
import { digestNumber, draft, record } from "./specs.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

let directory: string;
let broker: Broker;
let admin: Bus;
let store: Store;
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

const openAs = async (user: User): Promise<Store> =>
  openStore((await connectAs(user)).connection, { create: false, replicas: 1 });

/** Raw bytes under a key, past every check. */
const scribble = async (key: string, text: string): Promise<void> => {
  await admin.connection.request(`$KV.${REGISTRY_BUCKET}.${key}`, new TextEncoder().encode(text));
};

/** What a watch was told, as text, and a way to wait for it. */
class Heard {
  readonly records = new Map<string, ModelRecord>();
  readonly log: string[] = [];
  readonly problems: Fault[] = [];
  changed = (changed: ModelRecord): void => {
    this.records.set(changed.name, changed);
    this.log.push(`${changed.name}@${changed.active}`);
  };
  removed = (name: string): void => {
    this.records.delete(name);
    this.log.push(`-${name}`);
  };
  problem = (problem: Fault): void => {
    this.problems.push(problem);
  };
}

/** Watches until the connection closes. */
async function hear(reader: Store): Promise<Heard> {
  const heard = new Heard();
  await reader.registry.watch(heard);
  return heard;
}

function value<T>(result: Result<T, Fault>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

const put = async (made: ModelRecord): Promise<void> => {
  value(await store.registry.update(made.name, () => ok(made)));
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-store-"));
  broker = await startBroker({ directory });
  admin = await connectAs("admin");
  store = await openStore(admin.connection, { create: true, replicas: 1 });
});

afterAll(async () => {
  await Promise.all(buses.map((bus) => bus.drain()));
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

describe("the registry", () => {
  test("gives back what was written, by name and as a list", async () => {
    await put(record("get-b"));
    await put(record("get-a", 2));
    expect(value(await store.registry.get("get-a"))).toEqual(record("get-a", 2));
    expect(value(await store.registry.get("get-none"))).toBeUndefined();
    const names = value(await store.registry.list()).map(({ name }) => name);
    expect(names.filter((name) => name.startsWith("get-"))).toEqual(["get-a", "get-b"]);
  });

  test("a removed model is gone, and its name can be used again", async () => {
    await put(record("gone"));
    value(await store.registry.update("gone", () => ok(undefined)));
    expect(value(await store.registry.get("gone"))).toBeUndefined();
    await put(record("gone", 2));
    expect(value(await store.registry.get("gone"))).toEqual(record("gone", 2));
  });

  test("names that would change a subject are refused before anything is sent", async () => {
    for (const name of ["a.b", "*", ">", "a b", "", "../x", "a\r\nb"]) {
      expect(await store.registry.get(name)).toMatchObject({ error: { code: "INVALID_NAME" } });
      const update = store.registry.update(name, () => ok(record("x")));
      expect(await update).toMatchObject({ error: { code: "INVALID_NAME" } });
    }
  });

  test("a change that fails or changes nothing writes nothing", async () => {
    await put(record("still"));
    const heard = await hear(store);
    const refusal = fail({ code: "INVALID_REQUEST", message: "no" } as const);
    expect(await store.registry.update("still", () => refusal)).toEqual(refusal);
    value(await store.registry.update("still", (found) => ok(found)));
    await put(record("still", 2));
    await expect.poll(() => heard.records.get("still")?.latest).toBe(2);
    expect(heard.log.filter((line) => line.startsWith("still"))).toHaveLength(2);
  });

  test("writers at the same time lose nothing", async () => {
    const adding = Array.from({ length: 8 }, (_, at) =>
      store.registry.update("race", (found) =>
        addVersion(found, draft("race", { digest: digestNumber(at + 1) })),
      ),
    );
    for (const added of await Promise.all(adding)) value(added);
    const versions = present(value(await store.registry.get("race")), "race").versions;
    const digests = Object.values(versions).map(({ digest }) => digest);
    expect(digests.toSorted()).toEqual(Array.from({ length: 8 }, (_, at) => digestNumber(at + 1)));
  });

  test("a writer that never wins is told so", async () => {
    await put(record("busy"));
    let turn = 0;
    const update = store.registry.update("busy", (found) => {
      turn++;
      const text = JSON.stringify({ ...record("busy"), latest: turn });
      admin.connection.publish(`$KV.${REGISTRY_BUCKET}.busy`, new TextEncoder().encode(text));
      return setLoaded(present(found, "busy"), false);
    });
    expect(await update).toMatchObject({ error: { code: "REGISTRY_CONFLICT" } });
    expect(turn).toBe(16);
  });

  test("a record that is not valid is not written", async () => {
    const broken = { ...record("broken"), active: 9 };
    const update = store.registry.update("broken", () => ok(broken));
    expect(await update).toMatchObject({ error: { code: "INVALID_REQUEST" } });
  });

  test("a record that no message can hold is refused by its size", async () => {
    const huge = record("huge");
    const labels = Array.from({ length: 60_000 }, (_, at) => `a rather long label ${at}`);
    const spec = { ...present(huge.versions[1], "version 1"), labels };
    const update = store.registry.update("huge", () => ok({ ...huge, versions: { 1: spec } }));
    expect(await update).toMatchObject({ error: { code: "MODEL_TOO_LARGE" } });
  });
});

describe("watching", () => {
  test("everything that is there is told before the watch resolves", async () => {
    for (let at = 0; at < 20; at++) await put(record(`there-${at}`));
    const heard = await hear(await openAs("ingress"));
    expect([...heard.records.keys()].filter((name) => name.startsWith("there-"))).toHaveLength(20);
  });

  test("changes and removals follow, in order", async () => {
    const heard = await hear(await openAs("scheduler"));
    heard.log.length = 0;
    await put(record("follow", 2));
    value(await store.registry.update("follow", (found) => activate(present(found, "it"), 2)));
    value(await store.registry.update("follow", () => ok(undefined)));
    await expect.poll(() => heard.log).toEqual(["follow@1", "follow@2", "-follow"]);
  });

  test("a record that does not validate is reported and skipped", async () => {
    await put(record("sound"));
    const heard = await hear(store);
    heard.log.length = 0;
    await scribble("scrap", "not json");
    await scribble("sound", JSON.stringify({ ...record("sound"), versions: {} }));
    await scribble("alias", JSON.stringify(record("another")));
    await put(record("after-scrap"));
    await expect.poll(() => heard.log).toEqual(["after-scrap@1"]);
    expect(heard.problems.map(({ code }) => code)).toEqual(["INTERNAL", "INTERNAL", "INTERNAL"]);
    expect(heard.problems[0]?.message).toContain("nats kv purge mr_models scrap");
    expect(heard.records.get("sound")).toEqual(record("sound"));
    expect(await store.registry.get("scrap")).toMatchObject({ error: { code: "INTERNAL" } });
    for (const name of ["scrap", "sound", "alias"]) {
      await admin.connection.request(
        `$JS.API.STREAM.PURGE.KV_${REGISTRY_BUCKET}`,
        encodeJson({ filter: `$KV.${REGISTRY_BUCKET}.${name}` }),
      );
    }
  });

  test("a disposed watch is silent", async () => {
    const heard = new Heard();
    const watch = await store.registry.watch(heard);
    await watch[Symbol.asyncDispose]();
    heard.log.length = 0;
    await put(record("unheard"));
    await sleep(50);
    expect(heard.log).toEqual([]);
  });

  test("a restart of NATS loses no change and repeats none", async () => {
    await put(record("kept"));
    await put(record("lost"));
    const heard = await hear(await openAs("ingress"));
    heard.log.length = 0;
    await broker.restart();
    await expect
      .poll(async () => (await store.registry.update("lost", () => ok(undefined))).ok, {
        timeout: 10_000,
      })
      .toBe(true);
    await put(record("new"));
    await expect.poll(() => heard.log.toSorted(), { timeout: 10_000 }).toEqual(["-lost", "new@1"]);
    expect(heard.records.get("kept")).toEqual(record("kept"));
  });
});

describe("blobs", () => {
  const bytes = new Uint8Array(3_000_000).map((_, at) => (at * 7) % 256);

  test("are named by their digest and come back whole, to readers too", async () => {
    const digest = value(await store.blobs.put(bytes));
    expect(digest).toBe(await digestOf(bytes));
    const read = value(await (await openAs("gpu-worker")).blobs.read(digest));
    expect(Buffer.compare(read, bytes)).toBe(0);
  });

  test("are written once: a second put only says when it was", async () => {
    const once = new Uint8Array(10_000).fill(5);
    value(await store.blobs.put(once));
    const before = await streamBytes();
    value(await store.blobs.put(once));
    expect((await streamBytes()) - before).toBeLessThan(1_000);
  });

  test("puts of the same bytes at the same time both succeed", async () => {
    const twice = new Uint8Array(700_000).fill(6);
    const [a, b] = await Promise.all([store.blobs.put(twice), store.blobs.put(twice)]);
    expect(a).toEqual(b);
    expect(Buffer.compare(value(await store.blobs.read(value(a))), twice)).toBe(0);
  });

  test("without bytes are refused", async () => {
    const empty = await store.blobs.put(new Uint8Array(0));
    expect(empty).toMatchObject({ error: { code: "MODEL_CORRUPT" } });
  });

  test("filed under another digest are not served, and a put repairs them (I8)", async () => {
    const right = new Uint8Array(5000).fill(8);
    const digest = value(await store.blobs.put(right));
    const meta = `$O.${BLOB_BUCKET}.M.${Buffer.from(digest).toString("base64url")}==`;
    const other = value(await store.blobs.put(new Uint8Array(5000).fill(9)));
    const otherMeta = `$O.${BLOB_BUCKET}.M.${Buffer.from(other).toString("base64url")}==`;
    const api = `$JS.API.STREAM.MSG.GET.OBJ_${BLOB_BUCKET}`;
    const found = (
      await admin.connection.request(api, encodeJson({ last_by_subj: otherMeta }))
    ).json<{ message: { data: string } }>();
    const info = JSON.parse(Buffer.from(found.message.data, "base64").toString()) as object;
    await admin.connection.request(meta, encodeJson({ ...info, name: digest }));
    expect(await store.blobs.read(digest)).toMatchObject({ error: { code: "DIGEST_MISMATCH" } });
    value(await store.blobs.put(right));
    expect(value(await store.blobs.read(digest))).toEqual(right);
  });

  async function streamBytes(): Promise<number> {
    const reply = await admin.connection.request(`$JS.API.STREAM.INFO.OBJ_${BLOB_BUCKET}`);
    return reply.json<{ state: { bytes: number } }>().state.bytes;
  }
});

describe("storage that cannot be used", () => {
  test("a worker may not read the registry: the fault says who refused", async () => {
    const denied = await (await openAs("cpu-worker")).registry.get("digits");
    expect(denied).toMatchObject({ error: { code: "FORBIDDEN" } });
  });

  test("a reader may not write", async () => {
    const readOnly = await openAs("gpu-worker");
    const refused = await readOnly.blobs.put(new Uint8Array(10).fill(1));
    expect(["FORBIDDEN", "DISCONNECTED"]).toContain(!refused.ok && refused.error.code);
  });

  test("a closed connection is a fault, and ends a watch that still waits", async () => {
    const bus = await connectAs("admin");
    const closed = await openStore(bus.connection, { create: false, replicas: 1 });
    await bus.drain();
    expect(await closed.registry.get("digits")).toMatchObject({ error: { code: "DISCONNECTED" } });
    expect(await closed.registry.list()).toMatchObject({ error: { code: "DISCONNECTED" } });
    const update = closed.registry.update("digits", () => ok(record("digits")));
    expect(await update).toMatchObject({ error: { code: "DISCONNECTED" } });
    expect(await closed.blobs.read("0".repeat(64))).toMatchObject({
      error: { code: "DISCONNECTED" },
    });
    await expect(closed.registry.watch(new Heard())).rejects.toThrow(/watch/);
  });

  test("a store without buckets says so quickly, and a watch waits for them", async () => {
    const empty = await mkdtemp(join(tmpdir(), "millrace-empty-"));
    await using second = await startBroker({ directory: empty });
    const bus = await connectBus({
      servers: [second.url],
      name: "admin-empty",
      seed: second.seed("admin"),
      inboxPrefix: inboxPrefix("admin"),
      log: silent,
    });
    const reader = await openStore(bus.connection, { create: false, replicas: 1 });
    expect(await reader.registry.list()).toMatchObject({ error: { code: "DISCONNECTED" } });
    const stopping = new AbortController();
    const stopped = reader.registry.watch(new Heard(), stopping.signal);
    stopping.abort();
    await expect(stopped).rejects.toBe(stopping.signal.reason);
    const heard = new Heard();
    const watching = reader.registry.watch(heard);
    await expect.poll(() => heard.problems.map(({ code }) => code)).toEqual(["DISCONNECTED"]);
    const writer = await openStore(bus.connection, { create: true, replicas: 1 });
    await watching;
    value(await writer.registry.update("m", () => ok(record("m"))));
    await expect.poll(() => heard.log).toEqual(["m@1"]);
    await bus.drain();
    await rm(empty, { recursive: true, force: true });
  });
});
