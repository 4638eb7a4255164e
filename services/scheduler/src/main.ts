/** Starts a scheduler: the core, the bus, the registry, and the drain. */

import { randomInt } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { type Bus, connectBus, serveMicro, watchNamesake } from "@millrace/bus";
import { clockHook, serveHooks } from "@millrace/faults";
import { subjects } from "@millrace/protocol";
import {
  createLogger,
  createMetrics,
  createPump,
  type Metrics,
  nowUs,
  readConfig,
  runService,
  serveMetrics,
} from "@millrace/runtime";
import {
  SCHEDULER_DEFAULTS,
  SchedulerCore,
  type SchedulerEffect,
  type SchedulerEvent,
} from "@millrace/scheduling";
import { openStore } from "@millrace/store";
import { fields, type SchedulerConfig } from "./config.ts";
import { openMailbox } from "./mailbox.ts";
import { Performer } from "./performer.ts";
import { TimedCore } from "./timed-core.ts";

// Its 12 MB are headers: collected when they have doubled, not at five times their size as where
// tensors come and go. That costs 7 us of a core for a request of 2 KiB; without it the process
// grows from 139 to 190 MiB in ten minutes of load.
setFlagsFromString("--heap-growing-percent=100");

const VERSION = "0.1.0";
const DRAIN_LOOK_MS = 20;
const SECOND_US = 1_000_000;

await runService(async ({ signal }) => run(readConfig(fields, process.env), signal));

async function run(config: SchedulerConfig, signal: AbortSignal): Promise<void> {
  const { id } = config;
  const log = createLogger({ role: "scheduler", id, level: config.logLevel });
  const metrics = createMetrics({ role: "scheduler", id });
  await using opened = new AsyncDisposableStack();
  const bus = opened.use(
    await connectBus({
      servers: config.natsServers,
      name: id,
      seed: config.natsSeed,
      inboxPrefix: "_INBOX_scheduler",
      log,
      signal,
    }),
  );
  const own = { incarnation: randomInt(2 ** 32), startedMs: Date.now() };
  const core = new SchedulerCore({
    id,
    incarnation: own.incarnation,
    queueTicketsMax: config.queueTicketsMax,
    ...(config.waitForWorkers ? { noDeviceGraceUs: Infinity } : {}),
    residency: {
      ...SCHEDULER_DEFAULTS.residency,
      parkAfterUs: config.parkAfterSeconds === 0 ? Infinity : config.parkAfterSeconds * SECOND_US,
    },
  });
  showFigures(metrics, core);
  // Before the first heartbeat: who cannot listen here would join and leave again without end.
  opened.use(
    await serveMetrics({
      registry: metrics.registry,
      health: () => ({ ok: bus.connected, detail: { connected: bus.connected, ...core.figures } }),
      host: config.metricsHost,
      port: config.metricsPort,
    }),
  );
  const performer = new Performer({ id, own, bus, log, metrics });
  const perform = performer.perform.bind(performer);
  const timed = new TimedCore(core, nowUs);
  const pump = createPump<SchedulerEvent, SchedulerEffect>({ core: timed, perform, nowUs });
  opened.defer(() => pump.stop());
  // Before its own first heartbeat: of two that start together one must hear the other.
  const namesake = watchNamesake(bus, subjects.schedulerHeartbeat(id), { id, own });
  bus.onConnection((connected) => {
    if (connected) pump.post({ type: "reconnected" });
  });
  const mailbox = openMailbox({ id, bus, log, post: pump.post.bind(pump) });
  serveStats(bus, { id, core, timed, performer });
  if (config.chaos === "1") {
    serveHooks({ bus, role: "scheduler", id, log, handlers: { "clock-skew": clockHook } });
  }
  const { registry } = await openStore(bus.connection, { create: false, replicas: 1 });
  const watching = registry.watch(
    {
      changed: (record) => pump.post({ type: "modelChanged", record }),
      removed: (name) => pump.post({ type: "modelRemoved", name }),
      problem: (problem) => log.warn(problem, "registry"),
    },
    signal,
  );
  // It waits for a storage that is not there yet.
  opened.use(await Promise.race([watching, namesake]));
  pump.post({ type: "registryRead" });
  log.info({ servers: config.natsServers }, "ready");
  if (!signal.aborted) await Promise.race([once(signal, "abort"), namesake]);
  pump.post({ type: "drainBegan" });
  await drained(core, config.drainMs);
  await mailbox.closed();
  pump.stop();
}

/** Resolves when nothing is held any more, or the time for it is over. */
async function drained(core: SchedulerCore, withinMs: number): Promise<void> {
  const endsUs = nowUs() + withinMs * 1000;
  while (!core.drained && nowUs() < endsUs) await sleep(DRAIN_LOOK_MS);
}

function showFigures(metrics: Metrics, core: SchedulerCore): void {
  const queued = metrics.gauge({
    name: "millrace_scheduler_queued_requests",
    help: "Requests that wait for a device",
    collect: () => queued.labels({}).set(core.figures.queuedTickets),
  });
  const workers = metrics.gauge({
    name: "millrace_scheduler_workers",
    help: "Workers that take work",
    collect: () => workers.labels({}).set(core.figures.workers),
  });
}

function meanBatchRows(core: SchedulerCore): number {
  const { batchesSent, rowsSent } = core.figures;
  return batchesSent === 0 ? 0 : rowsSent / batchesSent;
}

interface Shown {
  readonly id: string;
  readonly core: SchedulerCore;
  readonly timed: TimedCore<SchedulerEvent, SchedulerEffect>;
  readonly performer: Performer;
}

/** What `nats micro` shows. */
function serveStats(bus: Bus, { id, core, timed, performer }: Shown): void {
  serveMicro(bus, {
    name: "scheduler",
    version: VERSION,
    description: "Queues requests, forms batches, places them and decides what devices hold",
    metadata: { id },
    endpoints: [
      {
        name: "ticket",
        subject: subjects.ticket(id),
        stats: () => ({
          requests: performer.requests + performer.refused,
          errors: performer.refused,
          processingUs: timed.stepsUs,
          lastError: performer.lastError,
          data: { ...core.figures, batchRowsMean: meanBatchRows(core) },
        }),
      },
    ],
  });
}
