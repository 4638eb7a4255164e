/** What a cluster for tests has on top when faults are wanted: proxy, chaos-monkey, hooks. */

import { join } from "node:path";
import type { Broker, Brokers } from "@millrace/broker";
import type { Bus } from "@millrace/bus";
import { portsNeeded, PROXY_ENTRY, serveHooks, Stage } from "@millrace/faults";
import type { Supervised } from "@millrace/fleet";
import type { Role } from "./cluster.ts";
import { silent } from "./log.ts";
import { freePorts } from "./ports.ts";

const SUPERVISOR = "test";
export const MONKEY_ID = "chaos-monkey-1";
export const PROXY_ID = "fault-proxy-1";

export const serversOf = (broker: Broker | Brokers): readonly Broker[] =>
  "servers" in broker ? broker.servers : [broker];

const brokerId = (at: number): string => `nats-${at + 1}`;

export interface StageWish {
  readonly broker: Broker | Brokers;
  /** Of the cluster. */
  readonly directory: string;
  readonly members: readonly { readonly id: string; readonly role: Role }[];
}

/** What has to be there before the members start. */
export async function openStage(wish: StageWish): Promise<Stage> {
  const { broker, directory } = wish;
  const cacheDirectory = (id: string): string => join(directory, "cache", id);
  const members = [
    ...serversOf(broker).map(({ configFile, storeDirectory }, at) => ({
      id: brokerId(at),
      role: "nats",
      configFile,
      storeDirectory,
    })),
    ...wish.members.map(({ id, role }) =>
      role.endsWith("worker") ? { id, role, cacheDirectory: cacheDirectory(id) } : { id, role },
    ),
  ];
  const servers = broker.url.split(",");
  const ports = await freePorts(portsNeeded(members, servers));
  return Stage.open({ directory, supervisor: SUPERVISOR, members, servers, ports });
}

/** The processes of brokers as they are now. */
export function updateBrokers(stage: Stage, broker: Broker | Brokers): void {
  for (const [at, { pid }] of serversOf(broker).entries()) stage.update(brokerId(at), pid);
}

export interface ChaosWish {
  readonly broker: Broker | Brokers;
  /** As `admin`. */
  readonly bus: Bus;
  readonly stage: Stage;
  readonly logLevel: string;
  readonly start: (id: string, entry: string, env: Readonly<Record<string, string>>) => void;
  readonly childOf: (id: string) => Supervised | undefined;
  readonly entryOf: (service: string) => string;
}

/** The fault proxy, the chaos-monkey, and the hook of this process, which supervises the rest. */
export function startChaos(wish: ChaosWish): void {
  const { broker, bus, stage, start, childOf } = wish;
  start(PROXY_ID, PROXY_ENTRY, stage.proxyEnv);
  start(MONKEY_ID, wish.entryOf("chaos-monkey"), {
    MILLRACE_ID: MONKEY_ID,
    MILLRACE_NATS_URL: broker.url,
    MILLRACE_NATS_SEED_FILE: broker.seedFile("chaos"),
    MILLRACE_LOG_LEVEL: wish.logLevel,
    MILLRACE_METRICS_PORT: "0",
    ...stage.monkeyEnv,
  });
  serveHooks({
    bus,
    role: "supervisor",
    id: SUPERVISOR,
    log: silent,
    handlers: {
      "log-sink-blocked": ({ options }) => {
        const id = String(options["member"]);
        const child = childOf(id);
        if (child === undefined) return `${id} is not supervised here`;
        child.reading = false;
        return () => (child.reading = true);
      },
    },
  });
}
