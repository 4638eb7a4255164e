/** The NATS connection of a command: as user `admin`, to a cluster that has to be there already. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inboxPrefix, seedFileOf } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { openStorage } from "@millrace/history";
import type { Store } from "@millrace/store";
import { CommandError } from "./failure.ts";
import type { Environment } from "./ingress.ts";
import { clusterDirectory, type ClusterState, readState } from "./state.ts";

const DEFAULT_SERVER = "nats://127.0.0.1:4222";
/** A server on an overloaded machine takes its time to greet; a frozen one takes for ever. */
const SLOW_MS_MAX = 5_000;

export interface ClusterAddress {
  readonly servers: readonly string[];
  readonly seedFile?: string;
}

/** MILLRACE_NATS_URL and MILLRACE_NATS_SEED_FILE first, then the cluster of `millrace up`. */
export function findCluster(
  environment: Environment,
  state: ClusterState | undefined = readState(),
): ClusterAddress {
  const { MILLRACE_NATS_URL, MILLRACE_NATS_SEED_FILE } = environment;
  const servers = (MILLRACE_NATS_URL || state?.natsUrl || DEFAULT_SERVER)
    .split(",")
    .map((server) => server.trim());
  const byDefault = seedFileOf(join(clusterDirectory(), "credentials"), "admin");
  const seedFile =
    MILLRACE_NATS_SEED_FILE || state?.seedFile || (existsSync(byDefault) ? byDefault : undefined);
  return seedFile === undefined ? { servers } : { servers, seedFile };
}

function readSeed(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new CommandError(
      `the NKey seed cannot be read: ${(error as Error).message}`,
      "name a readable file in MILLRACE_NATS_SEED_FILE, or leave it unset for the cluster of `up`",
    );
  }
}

/**
 * @throws CommandError where no server took the connection: a command does not wait for a cluster.
 */
export async function connectCluster(address: ClusterAddress): Promise<Bus> {
  const { servers, seedFile } = address;
  const seed = seedFile === undefined ? undefined : readSeed(seedFile);
  const attempt = new AbortController();
  let reason = "";
  let patience: NodeJS.Timeout | undefined;
  try {
    return await connectBus({
      servers,
      name: `ctl-${process.pid}`,
      seed,
      inboxPrefix: inboxPrefix("admin"),
      signal: attempt.signal,
      log: {
        debug: () => undefined,
        info: () => undefined,
        // One attempt has tried every server, and the same reason is not said again.
        warn: (fields) => {
          if (attempt.signal.aborted || !("reason" in fields)) return;
          reason = String(fields.reason);
          if (!/timeout/i.test(reason)) attempt.abort();
          else patience ??= setTimeout(() => attempt.abort(), SLOW_MS_MAX);
        },
        error: (_fields, message) => console.error(message),
      },
    });
  } catch (error) {
    if (!attempt.signal.aborted) throw error;
    throw noCluster(servers.join(","), reason, seedFile);
  } finally {
    clearTimeout(patience);
  }
}

function noCluster(servers: string, reason: string, seedFile: string | undefined): CommandError {
  if (/authorization/i.test(reason)) {
    const key = seedFile === undefined ? "without a key" : `with the key in ${seedFile}`;
    return new CommandError(
      `NATS at ${servers} lets nobody in ${key}`,
      "set MILLRACE_NATS_SEED_FILE to the seed of its user `admin`",
    );
  }
  return new CommandError(
    `no cluster at ${servers} (${reason})`,
    "start one with `npm run up`, say its --directory, or set MILLRACE_NATS_URL",
  );
}

export interface Cluster extends AsyncDisposable {
  readonly bus: Bus;
  readonly store: Store;
}

/** Also makes the buckets of the model store where they are missing: `admin` is who may. */
export async function openCluster(
  address: ClusterAddress = findCluster(process.env),
): Promise<Cluster> {
  const bus = await connectCluster(address);
  try {
    const store = await openStorage(bus.connection, {
      serverCount: address.servers.length,
      report: (line) => console.error(line),
    });
    return { bus, store, [Symbol.asyncDispose]: () => bus.drain() };
  } catch (error) {
    await bus.drain();
    throw error;
  }
}
