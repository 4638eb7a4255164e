/**
 * A compose project as the cluster of a drill. Keys are copied out of its own volumes, its servers
 * are reached by their addresses, and a chaos-monkey on this machine hits its containers.
 */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as v from "valibot";
import type { Bus } from "@millrace/bus";
import { CHAOS_COMMAND, decodeJson, encodeJson } from "@millrace/protocol";
import { type DrillCluster, openAddress, type OwnOptions } from "./chaos-cluster.ts";
import { CommandError } from "./failure.ts";

const PROJECT = "com.docker.compose.project";
const SERVICE = "com.docker.compose.service";
const MONKEY = fileURLToPath(new URL("../../chaos-monkey/src/main.ts", import.meta.url));
const NATS_PORT = 4222;
const INGRESS_PORT = "8080/tcp";
/** Where `millrace prepare` has put the keys, in the container that ran it. */
const KEYS = "/run/millrace";
const DOCKER_MS_MAX = 20_000;
const MONKEY_MS_MAX = 30_000;
const END_MS_MAX = 30_000;
const POLL_MS = 200;

const containersSchema = v.array(
  v.object({
    Id: v.string(),
    State: v.object({ Running: v.boolean() }),
    Config: v.object({ Labels: v.record(v.string(), v.string()) }),
    NetworkSettings: v.object({
      Networks: v.record(v.string(), v.object({ IPAddress: v.string() })),
      Ports: v.record(
        v.string(),
        v.nullable(v.array(v.object({ HostIp: v.string(), HostPort: v.string() }))),
      ),
    }),
  }),
);
type Container = v.InferOutput<typeof containersSchema>[number];

/** @throws CommandError with the remedy where the project, or a part of it, is not there. */
export async function openCompose(
  project: string,
  tenants: number,
  { logDirectory, say }: OwnOptions,
): Promise<DrillCluster> {
  const containers = await containersOf(project);
  const address = { servers: serversOf(containers, project) };
  const urls = urlsOf(containers, project);
  await using resources = new AsyncDisposableStack();
  const keys = await mkdtemp(join(tmpdir(), "millrace-keys-"));
  resources.defer(() => rm(keys, { recursive: true, force: true }));
  const [seedFile, chaosSeedFile, keyFile] = await copyKeys(containers, project, keys);
  const ingress = { url: urls[0] ?? "", key: (await readFile(keyFile, "utf8")).trim() };
  const opened = resources.use(
    await openAddress({ ...address, seedFile }, ingress, { urls, keyFile: undefined, tenants }),
  );
  say(`a chaos-monkey for the containers of ${project}`);
  const monkey = { ...address, project, seedFile: chaosSeedFile, logDirectory };
  resources.use(await startMonkey(monkey, opened.bus));
  const owned = resources.move();
  return { ...opened, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The project's, those that have ended included. */
async function containersOf(project: string): Promise<readonly Container[]> {
  const filter = `label=${PROJECT}=${project}`;
  const listed = await docker("ps", "--all", "--quiet", "--no-trunc", "--filter", filter);
  const ids = listed.split("\n").filter(Boolean);
  const start = `start it: docker compose -p ${project} -f deploy/compose.yaml up -d`;
  if (ids.length === 0) throw new CommandError(`no containers of a project ${project}`, start);
  return v.parse(containersSchema, JSON.parse(await docker("inspect", ...ids)));
}

const serviceOf = ({ Config }: Container): string => Config.Labels[SERVICE] ?? "";

/** An address is kept by a container that is started again, as a rule. */
function serversOf(containers: readonly Container[], project: string): readonly string[] {
  const servers = containers
    .filter((one) => one.State.Running && /^nats(-\d+)?$/.test(serviceOf(one)))
    .flatMap(({ NetworkSettings }) => Object.values(NetworkSettings.Networks).slice(0, 1))
    .map(({ IPAddress }) => `nats://${IPAddress}:${NATS_PORT}`);
  if (servers.length > 0) return servers.toSorted();
  throw new CommandError(`no NATS of ${project} runs`, `docker compose -p ${project} ps -a`);
}

function urlsOf(containers: readonly Container[], project: string): readonly string[] {
  const urls = containers
    .filter((one) => one.State.Running && serviceOf(one) === "ingress")
    .flatMap(({ NetworkSettings }) => NetworkSettings.Ports[INGRESS_PORT]?.slice(0, 1) ?? [])
    .map(
      ({ HostIp, HostPort }) => `http://${HostIp === "0.0.0.0" ? "127.0.0.1" : HostIp}:${HostPort}`,
    );
  if (urls.length > 0) return urls;
  throw new CommandError(`no ingress of ${project} is published`, "see the ports of its ingress");
}

/** The seeds of `admin` and of `chaos`, and the first API key. */
async function copyKeys(
  containers: readonly Container[],
  project: string,
  directory: string,
): Promise<readonly [string, string, string]> {
  const prepared = containers.find((one) => serviceOf(one) === "prepare");
  if (prepared === undefined) {
    const remedy = `docker compose -p ${project} up prepare, which keeps its container`;
    throw new CommandError(`${project} has no container that prepared it`, remedy);
  }
  const copy = async (from: string, to: string): Promise<string> => {
    await docker("cp", "--follow-link", `${prepared.Id}:${KEYS}/${from}`, join(directory, to));
    return join(directory, to);
  };
  return [
    await copy("admin/seed.nk", "admin.nk"),
    await copy("chaos/seed.nk", "chaos.nk"),
    await copy("admin/api-key", "api-key"),
  ];
}

interface MonkeyWish {
  readonly project: string;
  readonly servers: readonly string[];
  readonly seedFile: string;
  readonly logDirectory: string;
}

/** Resolves when it answers; ended, it heals what it has hit. */
async function startMonkey(wish: MonkeyWish, bus: Bus): Promise<AsyncDisposable> {
  await mkdir(wish.logDirectory, { recursive: true });
  const logFile = join(wish.logDirectory, "chaos-monkey.log");
  // A group of its own: Ctrl-C is for the drill, which ends the monkey last.
  const child = spawn(process.execPath, [MONKEY], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      MILLRACE_ID: "chaos-monkey-1",
      MILLRACE_NATS_URL: wish.servers.join(","),
      MILLRACE_NATS_SEED_FILE: wish.seedFile,
      MILLRACE_METRICS_PORT: "0",
      MILLRACE_CHAOS: "1",
      MILLRACE_CHAOS_COMPOSE: wish.project,
    },
  });
  const log = createWriteStream(logFile);
  for (const stream of [child.stdout, child.stderr]) stream.pipe(log, { end: false });
  const ended = once(child, "close");
  const end = async (): Promise<void> => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), END_MS_MAX);
    await ended;
    clearTimeout(late);
    log.end();
  };
  const lastAtMs = performance.now() + MONKEY_MS_MAX;
  while (!(await answers(bus))) {
    if (child.exitCode !== null || performance.now() > lastAtMs) {
      await end();
      throw new CommandError("the chaos-monkey did not start", `see ${logFile}`);
    }
    await sleep(POLL_MS);
  }
  return { [Symbol.asyncDispose]: end };
}

async function answers(bus: Bus): Promise<boolean> {
  try {
    const status = encodeJson({ v: 1, op: "status" });
    const { data } = await bus.connection.request(CHAOS_COMMAND, status, { timeout: 1_000 });
    return decodeJson(v.object({ ok: v.boolean() }), data).ok;
  } catch {
    return false;
  }
}

/** @throws CommandError with what the engine says. */
async function docker(...args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)("docker", [...args], { timeout: DOCKER_MS_MAX })).stdout;
  } catch (error) {
    const { stderr = "", message } = error as Error & { readonly stderr?: string };
    throw new CommandError(
      `docker ${args[0] ?? ""}: ${stderr.trim() || message}`,
      "see `docker info`",
    );
  }
}
