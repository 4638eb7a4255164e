/**
 * `millrace prepare`: what a cluster needs before its first start, where no `up` does it: keys for
 * NATS, the server's configuration, the first API key. What is there already stays as it is.
 */

import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import {
  createCredentials,
  createRouteSecret,
  renderServerConfig,
  type ServerConfig,
  type User,
  USERS,
} from "@millrace/broker";
import { ensureFirstKey } from "./up/first-key.ts";

interface PrepareOptions {
  readonly natsPort: string;
  readonly natsStore: string;
  readonly monitorPort: string;
  readonly natsServers?: string;
}

/** Where the servers of a cluster take each other's routes; on no network but their own. */
const ROUTE_PORT = 6222;

export function registerPrepare(program: Command): void {
  program
    .command("prepare")
    .summary("make keys and configuration for containers or other machines")
    .description(
      [
        "Makes below DIRECTORY: all/ with every NATS user's seed, a folder per user with its own",
        "seed (USER/seed.nk) to be given to that service alone, nats/nats.conf with the public",
        "keys, ingress/api-keys.jsonl with the hash of the first API key, and admin/api-key with",
        "the key itself.",
        "Run again, it changes nothing that is there.",
      ].join("\n"),
    )
    .argument("<directory>", "where to put them")
    .option("--nats-port <port>", "port that nats-server listens on", "4222")
    .option("--nats-store <path>", "where nats-server keeps its streams", "/var/lib/nats")
    .option("--monitor-port <port>", "port of its monitor, on loopback only", "8222")
    .option(
      "--nats-servers <hosts>",
      "of a cluster, with commas: nats/HOST.conf for each, in place of nats/nats.conf",
    )
    .action(async (directory: string, options: PrepareOptions) => {
      await prepare(directory, options);
      console.log(`the first API key is in ${join(directory, "admin", "api-key")}`);
    });
}

async function prepare(directory: string, options: PrepareOptions): Promise<void> {
  const credentials = await createCredentials(join(directory, "all"));
  for (const user of USERS) {
    const folder = join(directory, user);
    await mkdir(folder, { recursive: true });
    await replace(credentials[user].seedFile, join(folder, "seed.nk"));
  }
  const publicKeys = Object.fromEntries(
    USERS.map((user) => [user, credentials[user].publicKey]),
  ) as Record<User, string>;
  await mkdir(join(directory, "nats"), { recursive: true });
  const common = {
    publicKeys,
    host: "0.0.0.0",
    port: Number(options.natsPort),
    monitorPort: Number(options.monitorPort),
    storeDirectory: options.natsStore,
  };
  for (const [name, config] of await serversOf(directory, common, options)) {
    await writeFile(join(directory, "nats", `${name}.conf`), renderServerConfig(config));
  }
  const hashes = join(directory, "ingress", "api-keys.jsonl");
  await ensureFirstKey(join(directory, "admin", "api-key"), hashes);
}

/** One server's configuration, or one for each of a cluster, by the name of its file. */
async function serversOf(
  directory: string,
  common: ServerConfig,
  { natsServers }: PrepareOptions,
): Promise<readonly (readonly [string, ServerConfig])[]> {
  if (natsServers === undefined) return [["nats", common]];
  const hosts = natsServers.split(",");
  const secret = await createRouteSecret(join(directory, "all"));
  const routes = hosts.map((host) => `${host}:${ROUTE_PORT}`);
  return hosts.map((host) => {
    const cluster = { port: ROUTE_PORT, routes, secret };
    return [host, { ...common, serverName: host, cluster }];
  });
}

/** A seed is read-only, also for the copy that is to be written over. */
async function replace(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  await copyFile(from, to);
}
