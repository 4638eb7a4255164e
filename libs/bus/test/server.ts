/** A plain nats-server on a loopback port, for as long as a test holds it. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findServer } from "@millrace/broker";
import type { Log } from "@millrace/std";
import { type Bus, connectBus } from "../src/index.ts";

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGUSR2"): void;
  /** After SIGKILL; resolves when it greets. */
  restart(): Promise<void>;
}

const program = process.env["MILLRACE_TEST_NATS_SERVER"] ?? (await findServer());

/** `config` in the language of nats-server, besides the address. */
export async function startServer(config = ""): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), "millrace-bus-"));
  const file = join(directory, "nats.conf");
  await writeFile(file, config);
  const port = await freePort();
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn(program, ["-c", file, "-a", "127.0.0.1", "-p", String(port)], {
      stdio: "ignore",
    });
    await greeting(port);
  };
  await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    signal: (signal) => child?.kill(signal),
    restart: start,
    [Symbol.asyncDispose]: async () => {
      child?.kill("SIGKILL");
      await rm(directory, { recursive: true });
    },
  };
}

export const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

export const connectTo = (
  servers: readonly TestServer[],
  options: { readonly name?: string; readonly seed?: string; readonly log?: Log } = {},
): Promise<Bus> =>
  connectBus({
    servers: servers.map(({ url }) => url),
    name: options.name ?? "test",
    seed: options.seed,
    inboxPrefix: "_INBOX_test",
    log: options.log ?? quiet,
  });

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function greeting(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "data");
      return;
    } catch {
      await sleep(5);
    } finally {
      socket.destroy();
    }
  }
}
