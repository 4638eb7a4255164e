/** The grants suffice: real clients read the registry and the blobs, and only the admin writes. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream, type JetStreamClient } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { type ObjectStore, Objm } from "@nats-io/obj";
import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import { BLOB_BUCKET, REGISTRY_BUCKET } from "@millrace/protocol";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Broker, inboxPrefix, startBroker, type User } from "../src/index.ts";

const BLOB = new Uint8Array(300_000).map((_, at) => at % 251);
/** Bound of a request that nobody answers. */
const DENIED_MS = 1_000;

let directory: string;
let broker: Broker;
const open: NatsConnection[] = [];

async function connectAs(user: User): Promise<NatsConnection> {
  const connection = await connect({
    servers: broker.url,
    name: `${user}-1`,
    inboxPrefix: inboxPrefix(user),
    authenticator: nkeyAuthenticator(Buffer.from(broker.seed(user))),
  });
  open.push(connection);
  return connection;
}

/** As the store opens them: without asking for the account's limits. */
const clientOf = (connection: NatsConnection): JetStreamClient =>
  jetstream(connection, { timeout: DENIED_MS, checkAPI: false });

const registryOf = (connection: NatsConnection): Promise<KV> =>
  new Kvm(clientOf(connection)).open(REGISTRY_BUCKET);

const blobsOf = (connection: NatsConnection): Promise<ObjectStore> =>
  new Objm(clientOf(connection)).open(BLOB_BUCKET);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-clients-"));
  broker = await startBroker({ directory });
  const admin = await connectAs("admin");
  const registry = await new Kvm(admin).create(REGISTRY_BUCKET, {
    history: 1,
    allow_direct: false,
  });
  await registry.create("digits", "first");
  const blobs = await new Objm(admin).create(BLOB_BUCKET);
  await blobs.putBlob({ name: "digest" }, BLOB);
});

afterAll(async () => {
  await Promise.all(open.map((connection) => connection.close()));
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

describe.each(["ingress", "scheduler", "inspector"] as const)("%s", (user) => {
  test("reads and watches the registry, and cannot write it", async () => {
    const connection = await connectAs(user);
    const registry = await registryOf(connection);
    expect((await registry.get("digits"))?.string()).toBe("first");
    const watch = await registry.watch();
    const seen = await watch[Symbol.asyncIterator]().next();
    expect(seen.value?.key).toBe("digits");
    watch.stop();
    await expect(
      clientOf(connection).publish(`$KV.${REGISTRY_BUCKET}.digits`, "stolen"),
    ).rejects.toThrow("Permissions Violation");
    expect((await registry.get("digits"))?.string()).toBe("first");
  });
});

describe.each(["gpu-worker", "cpu-worker"] as const)("%s", (user) => {
  test("reads blobs, and cannot write them", async () => {
    const connection = await connectAs(user);
    const blobs = await blobsOf(connection);
    expect(await blobs.getBlob("digest")).toEqual(BLOB);
    await expect(
      clientOf(connection).publish(`$O.${BLOB_BUCKET}.M.digest`, "stolen"),
    ).rejects.toThrow("Permissions Violation");
    expect(await blobs.getBlob("digest")).toEqual(BLOB);
  });
});

test("the admin changes and removes what it wrote", async () => {
  const admin = await connectAs("admin");
  const registry = await registryOf(admin);
  const revision = await registry.create("temporary", "one");
  await registry.update("temporary", "two", revision);
  await registry.purge("temporary");
  expect((await registry.get("temporary"))?.operation).toBe("PURGE");
  const blobs = await blobsOf(admin);
  await blobs.putBlob({ name: "temporary" }, BLOB);
  await blobs.delete("temporary");
  expect(await blobs.getBlob("temporary")).toBeNull();
});

test("a service that is not granted the blobs cannot open them", async () => {
  await expect(blobsOf(await connectAs("scheduler"))).rejects.toThrow("Permissions Violation");
});
