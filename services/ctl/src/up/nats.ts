/** The NATS of a cluster: an embedded server, or one that is running and whose keys are here. */

import { access } from "node:fs/promises";
import { join } from "node:path";
import { seedFileOf, startBroker, type User } from "@millrace/broker";
import { describeExit } from "@millrace/fleet";
import { CommandError, usageError } from "../failure.ts";
import { LogFile } from "./log-file.ts";
import { nextFreePort } from "./ports.ts";

export interface Nats extends AsyncDisposable {
  /** `nats://host:port`, several with commas. */
  readonly servers: string;
  /** Seeds, a file per user. */
  readonly credentialsDirectory: string;
}

const HOST = "127.0.0.1";
/** What the nats command uses by itself. */
const PORT = 4222;
const USERS_NEEDED: readonly User[] = ["ingress", "scheduler", "gpu-worker", "cpu-worker", "admin"];

export interface NatsOptions {
  readonly servers: string | undefined;
  readonly credentials: string | undefined;
  readonly directory: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export async function openNats(options: NatsOptions): Promise<Nats> {
  const { servers, credentials } = options;
  if (servers !== undefined && credentials !== undefined) return existing(servers, credentials);
  if (servers === undefined && credentials === undefined) return embedded(options);
  throw usageError(
    "--servers and --credentials belong together",
    "give both, or neither for an embedded server",
  );
}

async function existing(servers: string, credentialsDirectory: string): Promise<Nats> {
  for (const user of USERS_NEEDED) {
    const path = seedFileOf(credentialsDirectory, user);
    await access(path).catch(() => {
      throw new CommandError(
        `there is no ${path}`,
        `--credentials needs the NKey seeds of ${USERS_NEEDED.join(", ")}, each as USER.nk`,
      );
    });
  }
  return { servers, credentialsDirectory, [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function embedded({ directory, say, signal }: NatsOptions): Promise<Nats> {
  const credentialsDirectory = join(directory, "credentials");
  const log = new LogFile(join(directory, "logs", "nats-server.log"));
  let ending = false;
  const broker = await startBroker({
    directory: join(directory, "nats"),
    credentialsDirectory,
    port: await nextFreePort(PORT, HOST),
    host: HOST,
    report: say,
    signal,
    onLine: (line) => log.write(line),
    onEvent: (event) => {
      if (ending || event.type !== "failed") return;
      const { exit, restartInMs } = event;
      say(`nats-server: ${describeExit(exit)}, starts again in ${restartInMs} ms`);
    },
  });
  return {
    servers: broker.url,
    credentialsDirectory,
    [Symbol.asyncDispose]: async () => {
      ending = true;
      await broker.stop();
      log[Symbol.dispose]();
    },
  };
}
