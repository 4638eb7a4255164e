/** The NATS of a cluster: an embedded server, or one that is running and whose keys are here. */

import { access } from "node:fs/promises";
import { join } from "node:path";
import { seedFileOf, startBroker, startBrokers, type User } from "@millrace/broker";
import { type ChildEvent, describeExit } from "@millrace/fleet";
import { CommandError, usageError } from "../failure.ts";
import { LogFile } from "./log-file.ts";
import { nextFreePort, nextFreePorts } from "./ports.ts";

export interface Nats extends AsyncDisposable {
  /** `nats://host:port`, several with commas. */
  readonly servers: string;
  /** Seeds, a file per user. */
  readonly credentialsDirectory: string;
  /** How many there are, as far as is known. */
  readonly serverCount: number;
  /** Those that were started here; none of a NATS that was running. */
  readonly brokers: readonly NatsServer[];
  /** Takes who is told of every start and end of one of them; told of all at once. */
  readonly onChange: (told: (id: string, pid: number | undefined) => void) => void;
}

export interface NatsServer {
  readonly id: string;
  readonly configFile: string;
  readonly storeDirectory: string;
  readonly pid: number | undefined;
}

const HOST = "127.0.0.1";
/** What the nats command uses by itself. */
const PORT = 4222;
/** Any one of them may be lost. */
const HA_SERVERS = 3;
const USERS_NEEDED: readonly User[] = ["ingress", "scheduler", "gpu-worker", "cpu-worker", "admin"];

export interface NatsOptions {
  readonly servers: string | undefined;
  readonly credentials: string | undefined;
  readonly directory: string;
  /** Three servers in place of one; of a running NATS, that it has at least three. */
  readonly ha: boolean;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export async function openNats(options: NatsOptions): Promise<Nats> {
  const { servers, credentials, ha } = options;
  if (servers !== undefined && credentials !== undefined) {
    return existing(servers, credentials, ha ? HA_SERVERS : servers.split(",").length);
  }
  if (servers === undefined && credentials === undefined) return embedded(options);
  throw usageError(
    "--servers and --credentials belong together",
    "give both, or neither for an embedded server",
  );
}

async function existing(
  servers: string,
  credentialsDirectory: string,
  serverCount: number,
): Promise<Nats> {
  for (const user of USERS_NEEDED) {
    const path = seedFileOf(credentialsDirectory, user);
    await access(path).catch(() => {
      throw new CommandError(
        `there is no ${path}`,
        `--credentials needs the NKey seeds of ${USERS_NEEDED.join(", ")}, each as USER.nk`,
      );
    });
  }
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    servers,
    credentialsDirectory,
    serverCount,
    brokers: [],
    onChange: () => undefined,
    [Symbol.asyncDispose]: nothing,
  };
}

async function freeNatsPort(say: (line: string) => void): Promise<number> {
  const port = await nextFreePort(PORT, HOST);
  if (port !== PORT) say(`port ${PORT} is busy, taking ${port} for NATS`);
  return port;
}

/** Streams of one server are not those of three: each way of running has a store of its own. */
async function embedded({ directory, ha, say, signal }: NatsOptions): Promise<Nats> {
  const credentialsDirectory = join(directory, "credentials");
  const log = new LogFile(join(directory, "logs", "nats-server.log"));
  let ending = false;
  let changed = (): void => undefined;
  const noticed = (name: string, event: ChildEvent): void => {
    changed();
    if (ending || event.type !== "failed") return;
    say(`${name}: ${describeExit(event.exit)}, starts again in ${event.restartInMs} ms`);
  };
  const shared = {
    credentialsDirectory,
    host: HOST,
    report: say,
    signal,
    onLine: (line: string) => log.write(line),
  };
  const broker = ha
    ? await startBrokers({
        ...shared,
        directory: join(directory, "nats-ha"),
        ports: await nextFreePorts(PORT, HOST, HA_SERVERS),
        onEvent: noticed,
      })
    : await startBroker({
        ...shared,
        directory: join(directory, "nats"),
        port: await freeNatsPort(say),
        onEvent: (event) => noticed("nats-server", event),
      });
  const brokers = ("servers" in broker ? broker.servers : [broker]).map((server, at) => ({
    id: `nats-${at + 1}`,
    configFile: server.configFile,
    storeDirectory: server.storeDirectory,
    get pid() {
      return server.pid;
    },
  }));
  return {
    servers: broker.url,
    credentialsDirectory,
    serverCount: brokers.length,
    brokers,
    onChange: (told) => {
      changed = () => brokers.forEach(({ id, pid }) => told(id, pid));
      changed();
    },
    [Symbol.asyncDispose]: async () => {
      ending = true;
      await broker.stop();
      log[Symbol.dispose]();
    },
  };
}
