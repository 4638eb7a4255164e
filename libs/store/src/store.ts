/** Opens the model store on a NATS connection: the registry and the blobs. */

import { jetstream } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm, setSha256Backend, StorageType } from "@nats-io/obj";
import type { NatsConnection } from "@nats-io/transport-node";
import { BLOB_BUCKET, FaultError, REGISTRY_BUCKET } from "@millrace/protocol";
import { type Blobs, ObjectBlobs } from "./blobs.ts";
import { createJobStorage, type JobStorageOptions } from "./jobs/job-streams.ts";
import { KvRegistry, type Registry } from "./registry.ts";
import { CALL_MS_MAX, storageFault } from "./storage.ts";

// Node's own is three to five times as fast as the default, which is JavaScript.
setSha256Backend("native");

export interface StoreOptions {
  /** Makes the buckets where they are missing; needs the rights of `admin`. Default false. */
  readonly create?: boolean;
  /** Copies of each bucket, for a NATS cluster: 1, the default, 3 or 5; only for new buckets. */
  readonly replicas?: number;
  /** How long and how much of jobs is kept, where their storage is made too. */
  readonly jobs?: Omit<JobStorageOptions, "replicas">;
}

export interface Store {
  readonly registry: Registry;
  readonly blobs: Blobs;
}

/**
 * Without `create` nothing is asked of the server yet, so a service starts before its storage.
 * The store lives as long as the connection.
 * @throws FaultError when the buckets cannot be made.
 */
export async function openStore(
  connection: NatsConnection,
  options: StoreOptions = {},
): Promise<Store> {
  const client = jetstream(connection, { timeout: CALL_MS_MAX, checkAPI: false });
  const { create = false, replicas = 1 } = options;
  const storage = StorageType.File;
  // Reads go to the stream's leader: a copy may be behind, and a change must start from the truth.
  const bucket = { allow_direct: false, history: 1, replicas, storage, timeout: CALL_MS_MAX };
  try {
    const models = new Kvm(client);
    const objects = new Objm(client);
    const registry = new KvRegistry(
      client,
      create
        ? await models.create(REGISTRY_BUCKET, bucket)
        : await models.open(REGISTRY_BUCKET, bucket),
    );
    const blobs = new ObjectBlobs(
      client,
      create
        ? await objects.create(BLOB_BUCKET, { replicas, storage })
        : await objects.open(BLOB_BUCKET, false),
    );
    if (create) await createJobStorage(client, { ...options.jobs, replicas });
    void follow(connection, registry);
    return { registry, blobs };
  } catch (error) {
    const { code, message } = storageFault(error, "opening the model store");
    throw new FaultError(code, message, { cause: error });
  }
}

/** Tells the registry of reconnections, until the connection closes. */
async function follow(connection: NatsConnection, registry: KvRegistry): Promise<void> {
  for await (const { type } of connection.status())
    if (type === "reconnect") registry.reconnected();
  await registry.closed();
}
