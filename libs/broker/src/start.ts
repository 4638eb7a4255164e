/** An embedded nats-server: configured, supervised, ready when it is returned. */

import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type ChildEvent, DEFAULT_BACKOFF, supervise, type Supervised } from "@millrace/fleet";
import { type ClusterConfig, renderServerConfig } from "./config.ts";
import { createCredentials, type Credentials } from "./credentials.ts";
import { findServer } from "./find.ts";
import type { User } from "./permissions.ts";

export interface BrokerOptions {
  /** Everything is below it: configuration, credentials, JetStream's store. */
  readonly directory: string;
  /** 0, the default, for any free one. */
  readonly port?: number;
  readonly host?: string;
  /** Default: off. */
  readonly monitorPort?: number;
  /** Default: `credentials` below the directory. */
  readonly credentialsDirectory?: string;
  /** Path of the program; found where absent. */
  readonly server?: string;
  /**
   * Default: one of its own for every start. Servers of a cluster keep theirs: it is who they are.
   */
  readonly serverName?: string;
  /** Its place among several; see `startBrokers`. */
  readonly cluster?: ClusterConfig;
  /** How long a server that still runs on the folder may take to end. */
  readonly predecessorMsMax?: number;
  /** Progress for people: a server being fetched, another one being waited for. */
  readonly report?: (line: string) => void;
  /** Ends the search for the program. */
  readonly signal?: AbortSignal;
  /** The server's log. */
  readonly onLine?: (line: string) => void;
  readonly onEvent?: (event: ChildEvent) => void;
}

const HOST = "127.0.0.1";
const READY_MS_MAX = 15_000;
const READY_POLL_MS = 10;
/** A configuration that fails this often in a row fails for good. */
const STARTS_MAX = 3;
const PORTS_TRIED_MAX = 5;
const LAST_LINES_MAX = 20;
const STOP_GRACE_MS = 5_000;
/** Everything waits for the broker: it is tried again sooner than other processes. */
const BACKOFF = { ...DEFAULT_BACKOFF, delayMsMax: 200 };
/** Longer than the guard of a killed supervisor gives its children (fleet's `guard.ts`). */
const PREDECESSOR_MS_MAX = 6_000;

/**
 * How the server runs beside all others of its machine. Its garbage is collected later: a third
 * more messages a second at 64 KB, for some 50 MB of memory. And it takes half of the cores: with
 * all of them its threads look for work on those that others need (on two cores 15 us of a core for
 * each small request in place of 12.5, and a tenth fewer requests).
 */
export const SERVER_ENV: Readonly<Record<string, string>> = {
  GOGC: "400",
  GOMAXPROCS: String(Math.max(1, availableParallelism() >> 1)),
};

/** @throws Error with the server's last words when it does not become ready. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const directory = resolve(options.directory);
  const { report, signal } = options;
  const server =
    options.server ??
    (await findServer({
      ...(report === undefined ? {} : { report }),
      ...(signal === undefined ? {} : { signal }),
    }));
  const storeDirectory = join(directory, "jetstream");
  const pidFile = join(directory, "nats-server.pid");
  await mkdir(storeDirectory, { recursive: true });
  await awaitPredecessor(pidFile, options);
  const credentials = await createCredentials(
    options.credentialsDirectory ?? join(directory, "credentials"),
  );
  const host = options.host ?? HOST;
  const config = join(directory, "nats-server.conf");
  const serverName = options.serverName ?? `millrace-${randomUUID().slice(0, 8)}`;
  for (let tries = 1; ; tries++) {
    const port = options.port || (await freePort(host));
    const text = renderServerConfig({
      publicKeys: publicKeysOf(credentials),
      storeDirectory,
      pidFile,
      serverName,
      host,
      port,
      ...(options.monitorPort === undefined ? {} : { monitorPort: options.monitorPort }),
      ...(options.cluster === undefined ? {} : { cluster: options.cluster }),
    });
    await writeFile(config, text, { mode: 0o600 });
    const url = `nats://${host}:${port}`;
    const broker = new Broker({ ...options, server, config, url, serverName, credentials });
    try {
      await broker.ready();
      return broker;
    } catch (error) {
      await broker.stop();
      // Between the look for a free port and its use somebody else may have taken it.
      const failure = error as Error;
      const taken = /address already in use/.test(failure.message) && !isOtherPortTaken(failure);
      if (!taken || options.port || tries === PORTS_TRIED_MAX) throw error;
    }
  }
}

/** The port of the routes or of the monitor, which are not chosen here. */
export const isOtherPortTaken = ({ message }: Error): boolean =>
  /(?:router|monitor) port.*address already in use/.test(message);

interface Launch extends BrokerOptions {
  readonly server: string;
  readonly config: string;
  readonly url: string;
  readonly serverName: string;
  readonly credentials: Credentials;
}

export class Broker implements AsyncDisposable {
  readonly url: string;
  readonly configFile: string;
  readonly storeDirectory: string;
  readonly #serverName: string;
  readonly #credentials: Credentials;
  readonly #supervised: Supervised;
  readonly #lastLines: string[] = [];

  constructor(options: Launch) {
    this.url = options.url;
    this.configFile = options.config;
    this.storeDirectory = join(resolve(options.directory), "jetstream");
    this.#serverName = options.serverName;
    this.#credentials = options.credentials;
    this.#supervised = supervise({
      name: "nats-server",
      command: options.server,
      args: ["--config", options.config],
      env: { ...SERVER_ENV, ...process.env },
      backoff: BACKOFF,
      onLine: (line) => {
        this.#lastLines.push(line);
        if (this.#lastLines.length > LAST_LINES_MAX) this.#lastLines.shift();
        options.onLine?.(line);
      },
      ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    });
  }

  /** Undefined between two runs. */
  get pid(): number | undefined {
    return this.#supervised.pid;
  }

  get restarts(): number {
    return this.#supervised.restarts;
  }

  seedFile(user: User): string {
    return this.#credentials[user].seedFile;
  }

  /** The user's secret, as `nkeyAuthenticator` wants it. */
  seed(user: User): string {
    return readFileSync(this.seedFile(user), "ascii").trim();
  }

  /** Sends the server a signal; the supervisor starts it again. */
  kill(signal: NodeJS.Signals = "SIGKILL"): boolean {
    return this.#supervised.kill(signal);
  }

  /** Ends the server in good order and resolves when the next one is ready. */
  async restart(): Promise<void> {
    const before = this.#supervised.restarts;
    this.#supervised.kill("SIGTERM");
    while (this.#supervised.restarts === before) await sleep(READY_POLL_MS);
    await this.ready();
  }

  /**
   * Resolves when the server greets, which it does once JetStream has read its store.
   * @throws Error with the server's last words when it keeps failing or takes too long.
   */
  async ready(): Promise<void> {
    const lastAtMs = performance.now() + READY_MS_MAX;
    const startsMax = this.#supervised.restarts + STARTS_MAX;
    while (!(await greets(this.url, this.#serverName))) {
      const ended = this.#supervised.end;
      if (ended !== undefined) throw this.#failure(`${ended.reason}: ${ended.detail}`);
      if (this.#supervised.restarts >= startsMax) throw this.#failure("it ends at every start");
      if (performance.now() > lastAtMs) throw this.#failure(`not ready in ${READY_MS_MAX} ms`);
      await sleep(READY_POLL_MS);
    }
  }

  async stop(): Promise<void> {
    await this.#supervised.stop(STOP_GRACE_MS);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #failure(reason: string): Error {
    return new Error([`nats-server at ${this.url}: ${reason}`, ...this.#lastLines].join("\n  "));
  }
}

/** True when this very server answers: another may have the port, and ours wait for it in vain. */
function greets(url: string, serverName: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((done) => {
    const socket = connect({ host: hostname, port: Number(port), timeout: 1_000 });
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      done(answer);
    };
    socket.once("data", (data) => end(data.toString("latin1").includes(`"${serverName}"`))());
    socket.once("timeout", end(false)).once("error", end(false)).once("close", end(false));
  });
}

/** A port that was free a moment ago. */
export async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/**
 * Two servers on one store would ruin it. After a supervisor was killed its server is on its way
 * out, and is waited for; one that stays belongs to somebody who is running.
 */
async function awaitPredecessor(pidFile: string, options: BrokerOptions): Promise<void> {
  const lastAtMs = performance.now() + (options.predecessorMsMax ?? PREDECESSOR_MS_MAX);
  for (let waits = 0; ; waits++) {
    const pid = Number(await readFile(pidFile, "ascii").catch(() => ""));
    if (!Number.isSafeInteger(pid) || pid <= 0 || !(await isServer(pid))) return;
    const fact = `a nats-server (process ${pid}) is running on ${options.directory}`;
    if (performance.now() > lastAtMs) {
      throw new Error(
        `${fact}; end what started it first, or use it: --servers URL --credentials DIRECTORY`,
      );
    }
    if (waits === 0) options.report?.(`${fact}; waiting for its end`);
    await sleep(100);
  }
}

/** Process ids are reused: a live one counts only while it is a nats-server. */
async function isServer(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  const ps = promisify(execFile)("ps", ["-p", String(pid), "-o", "stat=,comm="]);
  // Without ps there is no telling; a live process is then taken for the server.
  const line = await ps.then(
    ({ stdout }) => stdout.trim(),
    (error: NodeJS.ErrnoException) => (error.code === "ENOENT" ? "? nats-server" : ""),
  );
  return !line.startsWith("Z") && line.includes("nats-server");
}

const publicKeysOf = (credentials: Credentials): Readonly<Record<User, string>> =>
  Object.fromEntries(
    Object.entries(credentials).map(([user, { publicKey }]) => [user, publicKey]),
  ) as Record<User, string>;
