/**
 * The cluster that a drill is run against: the one that is running, or one of its own that is
 * started in a temporary folder and ends with the drill.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Bus } from "@millrace/bus";
import type { ClusterWish } from "@millrace/drills";
import type { Store } from "@millrace/store";
import { type ClusterAddress, findCluster, openCluster } from "./connect.ts";
import { CommandError } from "./failure.ts";
import { findIngress, type Ingress } from "./ingress.ts";
import { createKey, revokeKey } from "./keys.ts";
import { type ClusterState, readState } from "./state.ts";

export interface DrillCluster extends AsyncDisposable {
  readonly servers: readonly string[];
  readonly seedFile: string;
  readonly urls: readonly string[];
  /** One for each tenant. */
  readonly keys: readonly string[];
  readonly bus: Bus;
  readonly store: Store;
}

const PROGRAM = fileURLToPath(new URL("main.ts", import.meta.url));
/** As bootstrap.mjs gives it. */
const NODE_FLAGS = ["--external-memory-accounted-in-global-limit"];
const START_MS_MAX = 180_000;
const CONNECT_MS_MAX = 30_000;
const END_MS_MAX = 60_000;
const POLL_MS = 200;
const KEY_MS_MAX = 10_000;
const LINES_KEPT = 40;

/** @throws CommandError with the remedy where no cluster, no key or no ingress is there. */
export async function openRunning(
  tenants: number,
  state: ClusterState | undefined = readState(),
): Promise<DrillCluster> {
  const address = findCluster(process.env, state);
  const ingress = findIngress(process.env, state);
  const urls = ingress.url === state?.url ? (state.urls ?? [ingress.url]) : [ingress.url];
  return openAddress(address, ingress, { urls, keyFile: state?.keyFile, tenants });
}

interface OpenOptions {
  readonly urls: readonly string[];
  readonly keyFile: string | undefined;
  readonly tenants: number;
}

/** A cluster that runs; without its file of hashes it has one tenant. */
export async function openAddress(
  { servers, seedFile }: ClusterAddress,
  ingress: Ingress,
  { urls, keyFile, tenants }: OpenOptions,
): Promise<DrillCluster> {
  if (seedFile === undefined) {
    throw new CommandError("there is no key for NATS", "set MILLRACE_NATS_SEED_FILE");
  }
  await using resources = new AsyncDisposableStack();
  const { bus, store } = resources.use(await openCluster({ servers, seedFile }));
  // Only a cluster of this checkout has its file of hashes at hand; elsewhere there is one tenant.
  const hashes = keyFile === undefined ? undefined : join(dirname(keyFile), "api-keys.jsonl");
  const keys =
    hashes === undefined || tenants === 1
      ? Array.from({ length: tenants }, () => ingress.key ?? "")
      : await createTenants(hashes, urls, tenants, resources);
  const owned = resources.move();
  return {
    servers,
    seedFile,
    urls,
    keys,
    bus,
    store,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Keys that live as long as the drill. */
async function createTenants(
  hashes: string,
  urls: readonly string[],
  tenants: number,
  resources: AsyncDisposableStack,
): Promise<readonly string[]> {
  const keys: string[] = [];
  for (let tenant = 1; tenant <= tenants; tenant++) {
    const { key, entry } = await createKey(hashes, `drill-${tenant}`, new Date());
    resources.defer(async () => void (await revokeKey(hashes, entry.id).catch(() => undefined)));
    keys.push(key);
  }
  // The ingress looks at the file once a second.
  const lastAtMs = performance.now() + KEY_MS_MAX;
  for (const url of urls) {
    for (const key of keys) {
      while (!(await isAccepted(url, key))) {
        if (performance.now() > lastAtMs) {
          throw new CommandError(`${url} does not take a new key`, `see that it reads ${hashes}`);
        }
        await sleep(POLL_MS);
      }
    }
  }
  return keys;
}

async function isAccepted(url: string, key: string): Promise<boolean> {
  const headers = { Authorization: `Bearer ${key}` };
  const response = await fetch(`${url}/v2/repository/index`, { method: "POST", headers }).catch(
    () => undefined,
  );
  await response?.body?.cancel();
  return response?.status === 200;
}

export interface OwnOptions {
  /** Where the logs of what is started are kept. */
  readonly logDirectory: string;
  readonly say: (line: string) => void;
}

/** Starts a cluster with faults enabled, as `millrace up --chaos` does; its logs are kept. */
export async function startOwn(
  wish: ClusterWish,
  tenants: number,
  { logDirectory, say }: OwnOptions,
): Promise<DrillCluster> {
  const directory = await mkdtemp(join(tmpdir(), "millrace-drill-"));
  const lines: string[] = [];
  const counts = {
    "--ingresses": wish.ingresses,
    "--schedulers": wish.schedulers,
    "--gpu-workers": wish.gpuWorkers,
    "--cpu-workers": wish.cpuWorkers,
  };
  const words = Object.entries(counts).flatMap(([flag, count]) => [flag, String(count)]);
  say(`starting a cluster in ${directory}`);
  const child = spawn(
    process.execPath,
    [...NODE_FLAGS, PROGRAM, "up", "--chaos", "--directory", directory, ...words],
    {
      // A group of its own: Ctrl-C is for the drill, which ends the cluster last.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...wish.settings },
    },
  );
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      lines.push(...text.split("\n").filter((line) => line !== ""));
      lines.splice(0, Math.max(0, lines.length - LINES_KEPT));
    });
  }
  await using resources = new AsyncDisposableStack();
  resources.defer(() => end(child, directory, logDirectory));
  const state = await awaitStart(child, directory, lines);
  const keyFile = state.keyFile;
  const { natsUrl, url, seedFile } = state;
  const address = { servers: natsUrl.split(","), ...(seedFile === undefined ? {} : { seedFile }) };
  const key = keyFile === undefined ? undefined : (await readFile(keyFile, "utf8")).trim();
  const ingress = { url, ...(key === undefined ? {} : { key }) };
  const opened = resources.use(
    await openPatiently(() =>
      openAddress(address, ingress, { urls: state.urls ?? [url], keyFile, tenants }),
    ),
  );
  const owned = resources.move();
  return { ...opened, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A connection that is taken too slowly on a busy machine is no reason to give up a drill. */
async function openPatiently(connect: () => Promise<DrillCluster>): Promise<DrillCluster> {
  const lastAtMs = performance.now() + CONNECT_MS_MAX;
  for (;;) {
    try {
      return await connect();
    } catch (error) {
      if (!(error instanceof CommandError) || performance.now() > lastAtMs) throw error;
      await sleep(POLL_MS);
    }
  }
}

/** Resolves when the cluster says that everything of it is ready. */
async function awaitStart(
  child: ChildProcess,
  directory: string,
  lines: readonly string[],
): Promise<ClusterState> {
  const lastAtMs = performance.now() + START_MS_MAX;
  for (;;) {
    const state = readState(directory);
    if (state !== undefined && lines.some((line) => line.includes("All of them are ready"))) {
      return state;
    }
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended || performance.now() > lastAtMs) {
      const words = lines.slice(-10).join("\n  ");
      throw new CommandError(`the cluster of the drill did not start:\n  ${words}`, "see above");
    }
    await sleep(POLL_MS);
  }
}

/** Drained, and killed where it does not end; of its folder the logs are kept. */
async function end(child: ChildProcess, directory: string, logDirectory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), END_MS_MAX);
    await gone;
    clearTimeout(late);
  }
  await cp(join(directory, "logs"), logDirectory, { recursive: true }).catch(() => undefined);
  await rm(directory, { recursive: true, force: true });
}
