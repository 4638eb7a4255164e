/**
 * `millrace up`: a whole cluster on this machine, one process per member, until Ctrl-C. Everything
 * it starts ends with it, in the order that lets accepted requests be answered.
 */

import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { inboxPrefix, seedFileOf } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { openStorage } from "@millrace/history";
import { CommandError } from "../failure.ts";
import { readState, removeState, upDirectory, writeState } from "../state.ts";
import { Ending } from "./ending.ts";
import { introduceExamples } from "./examples.ts";
import { ensureFirstKey } from "./first-key.ts";
import { DAY_MODEL, openElastic } from "./elastic/elastic.ts";
import { greet } from "./greeting.ts";
import { watchCluster } from "./live.ts";
import { openChaos } from "./chaos.ts";
import { fileLog, LogFile } from "./log-file.ts";
import { planMembers } from "./members.ts";
import { type Nats, openNats } from "./nats.ts";
import { choosePlan, type UpOptions } from "./options.ts";
import { Processes } from "./processes.ts";
import { awaitReady } from "./ready.ts";
import { Screen } from "./screen.ts";

/**
 * Runs until Ctrl-C, SIGTERM or SIGHUP, then drains, and resolves when all is gone.
 * @throws CommandError when the cluster cannot be started; what was started is ended first.
 */
export async function runUp(options: UpOptions = {}): Promise<void> {
  const screen = new Screen(process.stdout);
  let processes: Processes | undefined;
  using ending = new Ending({
    began: () => {
      screen.release();
      screen.say("Draining. Ctrl-C again ends everything at once.");
    },
    hurried: () => void processes?.kill(),
  });
  try {
    await serve(options, screen, ending.signal, (started) => (processes = started));
  } catch (error) {
    // Whatever an ended wait or a closed connection says on the way out is no failure.
    if (!ending.signal.aborted) throw error;
  }
  screen.say("Everything that was started has ended.");
}

async function serve(
  options: UpOptions,
  screen: Screen,
  signal: AbortSignal,
  onStarted: (processes: Processes) => void,
): Promise<void> {
  const directory = upDirectory(options.elastic === true);
  const logDirectory = join(directory, "logs");
  const say = (line: string): void => screen.say(line);
  refuseSecond(directory);
  await mkdir(logDirectory, { recursive: true });
  // Ended in reverse: the members before the connection, and NATS last.
  await using resources = new AsyncDisposableStack();

  const { servers, credentials, ha = false } = options;
  const nats = resources.use(await openNats({ servers, credentials, ha, directory, say, signal }));
  const log = resources.use(new LogFile(join(logDirectory, "up.log")));
  const bus = resources.use(await connectAsAdmin(nats, log, signal));
  const store = await openStorage(bus.connection, {
    serverCount: nats.serverCount,
    report: say,
    signal,
  });

  const keyFile = join(directory, "api-key");
  const keysFile = join(directory, "api-keys.jsonl");
  const { key, created } = await ensureFirstKey(keyFile, keysFile);
  const plan = await choosePlan({ options, nats, directory, keysFile, say });
  const planned = planMembers(plan);
  const chaos =
    options.chaos === true
      ? resources.use(await openChaos({ nats, members: planned, directory }))
      : undefined;
  const elastic =
    options.elastic === true
      ? await openElastic(
          {
            nats,
            directory,
            bus,
            dayMinutes: options.dayMinutes ?? DAY_MINUTES,
            trace: options.trace,
            metricsPort: 0,
            say,
          },
          resources,
        )
      : undefined;
  const members = elastic?.membersWith(planned) ?? chaos?.members ?? planned;
  say(`NATS is at ${nats.servers}; starting ${members.map(({ id }) => id).join(", ")}`);
  const onEvent = chaos?.onEvent;
  const noticing = onEvent === undefined ? {} : { onEvent };
  const processes = resources.use(new Processes({ members, logDirectory, say, ...noticing }));
  onStarted(processes);
  chaos?.serve(bus, processes, fileLog(log));
  const url = `http://${plan.httpHost}:${plan.httpPort}`;
  const seedFile = seedFileOf(nats.credentialsDirectory, "admin");
  const urls = [plan.httpPort, ...(plan.moreHttpPorts ?? [])].map(
    (port) => `http://${plan.httpHost}:${port}`,
  );
  writeState({ url, urls, keyFile, natsUrl: nats.servers, seedFile, pid: process.pid }, directory);
  resources.defer(() => removeState(directory));

  const ids = planned.filter(({ role }) => role !== "ingress").map(({ id }) => id);
  await awaitReady({ bus, ids, urls, check: () => processes.check(), say, signal });
  say("All of them are ready.");
  const wanted = elastic === undefined ? {} : { wanted: DAY_MODEL };
  const sample = await introduceExamples({ store, ingress: { url, key }, say, signal, ...wanted });
  greet({ url, keyFile, created, nats, members: planned, directory, sample }).forEach(say);
  if (elastic === undefined) await watchCluster({ bus, store, screen, signal });
  else if (sample !== undefined) await elastic.play({ url, key, ...sample, screen, signal });
}

const DAY_MINUTES = 10;

/** Two on one folder would share a store, and each would take the other's members for its own. */
function refuseSecond(directory: string): void {
  const state = readState(directory);
  if (state === undefined) return;
  throw new CommandError(
    `a cluster is running here already, at ${state.url} (process ${state.pid})`,
    "use it, or end it first with Ctrl-C",
  );
}

async function connectAsAdmin(nats: Nats, log: LogFile, signal: AbortSignal): Promise<Bus> {
  const seed = await readFile(seedFileOf(nats.credentialsDirectory, "admin"), "ascii");
  return connectBus({
    servers: nats.servers.split(","),
    name: `up-${process.pid}`,
    seed: seed.trim(),
    inboxPrefix: inboxPrefix("admin"),
    log: fileLog(log),
    signal,
  });
}
