/**
 * Three nats-servers on one machine that survive the loss of one: the streams are on all of them,
 * and a client that loses its server goes on with another.
 */

import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createRouteSecret } from "./credentials.ts";
import { findServer } from "./find.ts";
import type { User } from "./permissions.ts";
import {
  type Broker,
  type BrokerOptions,
  freePort,
  isOtherPortTaken,
  startBroker,
} from "./start.ts";

/** Of `BrokerOptions`, what is chosen for each server here is not asked for. */
export interface BrokersOptions extends Omit<
  BrokerOptions,
  "port" | "monitorPort" | "serverName" | "cluster" | "onEvent"
> {
  /** Of the servers, in their order; any free one where absent. */
  readonly ports?: readonly number[];
  readonly onEvent?: (
    server: string,
    event: Parameters<NonNullable<BrokerOptions["onEvent"]>>[0],
  ) => void;
}

/** Two of three are a majority; more servers only cost more acknowledgements. */
const SERVERS = 3;
const POLL_MS = 50;
/** The servers elect a leader of JetStream's metadata; 4 to 9 s where the first round is a tie. */
const QUORUM_MS_MAX = 30_000;
const PROGRESS_MS = 2_000;
const PORTS_TRIED_MAX = 3;

/**
 * Resolves when all three are ready and JetStream has a leader.
 * @throws Error with a server's last words when one does not become ready.
 */
export async function startBrokers(options: BrokersOptions): Promise<Brokers> {
  for (let tries = 1; ; tries++) {
    try {
      return await startOnPorts(options);
    } catch (error) {
      // As of a single server: a port that was free may be taken before it is used.
      if (!isOtherPortTaken(error as Error) || tries === PORTS_TRIED_MAX) throw error;
    }
  }
}

async function startOnPorts(options: BrokersOptions): Promise<Brokers> {
  const directory = resolve(options.directory);
  const credentialsDirectory = options.credentialsDirectory ?? join(directory, "credentials");
  const server = options.server ?? (await findServer(options));
  const secret = await createRouteSecret(credentialsDirectory);
  const host = options.host ?? "127.0.0.1";
  const places: { readonly port: number; readonly monitorPort: number }[] = [];
  for (let at = 0; at < SERVERS; at++) {
    places.push({ port: await freePort(host), monitorPort: await freePort("127.0.0.1") });
  }
  const routes = places.map(({ port }) => `${host}:${port}`);
  await using stack = new AsyncDisposableStack();
  const brokers: Broker[] = [];
  for (const [at, { port, monitorPort }] of places.entries()) {
    const serverName = `millrace-${at + 1}`;
    const { ports, onEvent, ...shared } = options;
    brokers.push(
      stack.use(
        await startBroker({
          ...shared,
          directory: join(directory, serverName),
          credentialsDirectory,
          server,
          serverName,
          monitorPort,
          cluster: { port, routes, secret },
          ...(ports?.[at] === undefined ? {} : { port: ports[at] }),
          ...(onEvent === undefined ? {} : { onEvent: (event) => onEvent(serverName, event) }),
        }),
      ),
    );
  }
  await awaitQuorum(
    places.map(({ monitorPort }) => `http://127.0.0.1:${monitorPort}`),
    options.report ?? (() => undefined),
  );
  return new Brokers(
    brokers,
    places.map(({ monitorPort }) => monitorPort),
    stack.move(),
  );
}

export class Brokers implements AsyncDisposable {
  readonly servers: readonly Broker[];
  /** All of them, with commas. */
  readonly url: string;
  readonly #monitorPorts: readonly number[];
  readonly #owned: AsyncDisposable;

  constructor(servers: readonly Broker[], monitorPorts: readonly number[], owned: AsyncDisposable) {
    this.servers = servers;
    this.url = servers.map(({ url }) => url).join(",");
    this.#monitorPorts = monitorPorts;
    this.#owned = owned;
  }

  seedFile(user: User): string {
    return this.#first.seedFile(user);
  }

  /** The user's secret, as `nkeyAuthenticator` wants it. */
  seed(user: User): string {
    return this.#first.seed(user);
  }

  /** The server that leads JetStream's metadata; undefined while none does. */
  async leader(): Promise<Broker | undefined> {
    for (const port of this.#monitorPorts) {
      const report = await readJson(`http://127.0.0.1:${port}/jsz`);
      const name = (report as { meta_cluster?: { leader?: string } } | undefined)?.meta_cluster
        ?.leader;
      if (name === undefined) continue;
      return this.servers[Number(name.slice(name.lastIndexOf("-") + 1)) - 1];
    }
    return undefined;
  }

  async stop(): Promise<void> {
    await this.#owned[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  get #first(): Broker {
    const [first] = this.servers;
    if (first === undefined) throw new Error("a cluster has servers");
    return first;
  }
}

/** Every server says that JetStream is current: it has a leader and no stream lags. */
async function awaitQuorum(
  monitors: readonly string[],
  report: (line: string) => void,
): Promise<void> {
  const startedAtMs = performance.now();
  let saidAtMs = startedAtMs;
  for (const monitor of monitors) {
    for (;;) {
      const health = (await readJson(`${monitor}/healthz`)) as Health | undefined;
      if (health?.status === "ok") break;
      const nowMs = performance.now();
      if (nowMs - saidAtMs >= PROGRESS_MS) {
        saidAtMs = nowMs;
        const seconds = Math.round((nowMs - startedAtMs) / 1000);
        report(`the NATS servers elect a leader of JetStream, ${seconds} s`);
      }
      if (nowMs - startedAtMs > QUORUM_MS_MAX) {
        throw new Error(
          `nats-server's cluster has no quorum after ${QUORUM_MS_MAX} ms: ` +
            (health?.error ?? "no answer"),
        );
      }
      await sleep(POLL_MS);
    }
  }
}

interface Health {
  readonly status?: string;
  readonly error?: string;
}

/** Undefined when nobody answers, or with something else. */
async function readJson(url: string): Promise<unknown> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    return await response.json();
  } catch {
    return undefined;
  }
}
