/** What `up --chaos` adds: a fault proxy between members and NATS, and a chaos-monkey. */

import { access } from "node:fs/promises";
import { join } from "node:path";
import { seedFileOf } from "@millrace/broker";
import type { Bus } from "@millrace/bus";
import { portsNeeded, serveHooks, Stage } from "@millrace/faults";
import type { ChildEvent } from "@millrace/fleet";
import type { Log } from "@millrace/std";
import { CommandError } from "../failure.ts";
import type { Member } from "./members.ts";
import type { Nats } from "./nats.ts";
import { nextFreePorts } from "./ports.ts";
import type { Processes } from "./processes.ts";

const HOST = "127.0.0.1";
/** Of the proxy: the first is its control, the others lead to NATS. */
const PORT = 14_222;
const SUPERVISOR = `up-${process.pid}`;

export interface ChaosOptions {
  readonly nats: Nats;
  readonly members: readonly Member[];
  readonly directory: string;
}

export interface Chaos extends Disposable {
  /** The members, with their way through the proxy, and the two that are added. */
  readonly members: readonly Member[];
  /** Keeps the list of what may be hit true. */
  readonly onEvent: (event: ChildEvent) => void;
  /** Obeys what the chaos-monkey asks of the supervisor. */
  readonly serve: (bus: Bus, processes: Processes, log: Log) => void;
}

/** @throws CommandError where the key of the user `chaos` is missing. */
export async function openChaos({ nats, members, directory }: ChaosOptions): Promise<Chaos> {
  const servers = nats.servers.split(",");
  const seedFile = seedFileOf(nats.credentialsDirectory, "chaos");
  await access(seedFile).catch(() => {
    throw new CommandError(`there is no ${seedFile}`, "--chaos needs the seed of the user chaos");
  });
  const targets = [
    ...nats.brokers.map(({ id, configFile, storeDirectory }) => ({
      id,
      role: "nats",
      configFile,
      storeDirectory,
    })),
    ...members.map(({ id, role, env }) => {
      const cache = env["MILLRACE_CACHE_DIR"];
      return cache === undefined ? { id, role } : { id, role, cacheDirectory: join(cache, id) };
    }),
  ];
  const ports = await nextFreePorts(PORT, HOST, portsNeeded(targets, servers));
  const stage = await Stage.open({
    directory,
    supervisor: SUPERVISOR,
    members: targets,
    servers,
    ports,
  });
  nats.onChange((id, pid) => stage.update(id, pid));
  const monkey = {
    MILLRACE_ID: "chaos-monkey-1",
    MILLRACE_NATS_URL: nats.servers,
    MILLRACE_NATS_SEED_FILE: seedFile,
    ...stage.monkeyEnv,
  };
  return {
    members: [
      ...members.map((member) => ({
        ...member,
        env: { ...member.env, ...stage.memberEnv(member.id) },
      })),
      { id: "fault-proxy-1", role: "fault-proxy", env: stage.proxyEnv },
      { id: "chaos-monkey-1", role: "chaos-monkey", env: monkey },
    ],
    onEvent: (event) => stage.update(event.name, event.type === "started" ? event.pid : undefined),
    serve: (bus, processes, log) => serveSupervisor(bus, processes, log),
    [Symbol.dispose]: () => stage[Symbol.dispose](),
  };
}

function serveSupervisor(bus: Bus, processes: Processes, log: Log): void {
  serveHooks({
    bus,
    role: "supervisor",
    id: SUPERVISOR,
    log,
    handlers: {
      "log-sink-blocked": ({ options }) => {
        const id = String(options["member"]);
        const child = processes.childOf(id);
        if (child === undefined) return `${id} is not supervised here`;
        child.reading = false;
        return () => (child.reading = true);
      },
    },
  });
}
