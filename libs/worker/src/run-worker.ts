/**
 * A worker from start to end: configuration, connection, device, and the drain. gpu-worker and
 * cpu-worker differ in their role and in the device that they take by default.
 */

import { randomInt } from "node:crypto";
import { addAbortListener } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { subjects } from "@millrace/protocol";
import { formatBytes } from "@millrace/std";
import { type Bus, connectBus, type MicroStats, serveMicro, watchNamesake } from "@millrace/bus";
import { type Engine, openEngine } from "@millrace/engine";
import {
  createLogger,
  createMetrics,
  type Health,
  type Logger,
  type Metrics,
  nowUs,
  PoisonedDeviceError,
  serveMetrics,
} from "@millrace/runtime";
import { assemble, placeOf, type Worker } from "./assembly.ts";
import { serveWorkerHooks } from "./chaos.ts";
import type { WorkerConfig, WorkerRole } from "./config.ts";
import { FaultyEngine } from "./faulty-engine.ts";
import { noticeReader } from "./spot/providers.ts";
import { describeNotice, NoticeWatcher } from "./spot/watcher.ts";

export interface WorkerService {
  readonly role: WorkerRole;
  readonly config: WorkerConfig;
  /** Ends the worker: it drains, and then returns. */
  readonly signal: AbortSignal;
}

const VERSION = "0.1.0";
/** A device that hangs must not keep the process. */
const ENGINE_CLOSE_MS_MAX = 2_000;

/**
 * @throws PoisonedDeviceError when the device is lost; FaultError when no device starts;
 *   IdTakenError where another process has its id.
 */
export async function runWorker({ role, config, signal }: WorkerService): Promise<void> {
  const { id } = config;
  const log = createLogger({ role, id, level: config.logLevel });
  const metrics = createMetrics({ role, id });
  await using opened = new AsyncDisposableStack();
  const here: { bus?: Bus; worker?: Worker } = {};
  // Before anything that takes long: a worker that waits for its broker or its device says so.
  const health = (): Health => healthOf(here);
  const { metricsHost: host, metricsPort: port } = config;
  opened.use(await serveMetrics({ registry: metrics.registry, health, host, port }));
  const watcher = openWatcher(config, metrics, log);
  await watcher?.clear(signal);
  if (signal.aborted) return;
  const bus = await connectBus({
    servers: config.natsServers,
    name: id,
    seed: config.natsSeed,
    inboxPrefix: `_INBOX_${role}`,
    log,
    signal,
  }).catch((error: unknown) => {
    if (signal.aborted) return undefined;
    throw error;
  });
  if (bus === undefined) return;
  here.bus = opened.use(bus);
  const opening = opened.use(await openDevice(config, log));
  const faulty = config.chaos === "1" ? new FaultyEngine(opening.engine) : undefined;
  const engine = faulty ?? opening.engine;
  const own = { incarnation: randomInt(1, 2 ** 32), startedMs: Date.now() };
  // Before its own first heartbeat: of two that start together one must hear the other.
  const namesake = watchNamesake(bus, subjects.workerHeartbeat(id), { id, own });
  const worker = opened.use(await assemble({ role, config, own, bus, engine, metrics, log }));
  here.worker = worker;
  if (faulty !== undefined) {
    const device = await engine.readDevice();
    const { beginDrain } = worker;
    serveWorkerHooks({ bus, role, id, engine: faulty, device, beginDrain, log });
  }
  // It ends with the connection.
  serveMicro(bus, {
    name: role,
    version: VERSION,
    description: "Runs batches of inference requests on one device",
    metadata: { id, ...placeOf(config) },
    endpoints: [{ name: "assign", subject: subjects.assign(id), stats: () => statsOf(worker) }],
  });
  opened.use(addAbortListener(signal, () => worker.beginDrain("told to end")));
  const watching = new AbortController();
  opened.defer(() => watching.abort());
  void drainOnNotice(watcher, worker, watching.signal);
  const { reason, detail } = await Promise.race([worker.exited, namesake]);
  log.info({ reason, detail }, "ending");
  if (reason === "poisoned") throw new PoisonedDeviceError(detail);
}

/** Undefined where nobody announces anything. */
function openWatcher(
  { spotPollMs, spotProvider, spotUrl }: WorkerConfig,
  metrics: Metrics,
  log: Logger,
): NoticeWatcher | undefined {
  if (spotProvider === undefined) return undefined;
  const readings = metrics.counter({
    name: "millrace_worker_spot_readings_total",
    help: "Readings of the provider's notices, by outcome: none, notice, unreadable",
    labels: ["outcome"],
  });
  return new NoticeWatcher({
    read: noticeReader(spotProvider, spotUrl),
    everyMs: spotPollMs,
    log,
    counted: (outcome) => readings.labels({ outcome }).inc(),
  });
}

async function drainOnNotice(
  watcher: NoticeWatcher | undefined,
  worker: Worker,
  signal: AbortSignal,
): Promise<void> {
  const notice = await watcher?.due(signal);
  if (notice === undefined) return;
  worker.beginDrain(describeNotice(notice), nowUs() + notice.leftMs * 1000);
}

/** The engine on its device; closing it waits only so long. */
async function openDevice(
  config: WorkerConfig,
  log: Logger,
): Promise<AsyncDisposable & { readonly engine: Engine }> {
  const { device, deviceIndex, threads, deviceMemoryBytes } = config;
  const budget = deviceMemoryBytes === undefined ? {} : { memoryBudgetBytes: deviceMemoryBytes };
  const rowUs = config.emulatedRowUs;
  const engine = await openEngine({ device, deviceIndex, threads, rowUs, ...budget });
  for (const passedOver of engine.passedOver) log.info(passedOver, "device not used");
  const read = await engine.readDevice();
  const memory = `${formatBytes(read.memoryFreeBytes)} of ${formatBytes(read.memoryTotalBytes)}`;
  log.info({ class: read.class, name: read.name, threads, memoryFree: memory }, "device opened");
  return {
    engine,
    [Symbol.asyncDispose]: async () => {
      const late = sleep(ENGINE_CLOSE_MS_MAX, undefined, { ref: false });
      await Promise.race([engine[Symbol.asyncDispose](), late]);
    },
  };
}

function healthOf({ bus, worker }: { readonly bus?: Bus; readonly worker?: Worker }): Health {
  const connected = bus?.connected ?? false;
  const beat = worker?.condition.beat;
  const detail = { connected, state: beat?.state ?? "starting", device: beat?.device };
  return { ok: connected && beat?.state === "ready", detail };
}

function statsOf({ totals, condition }: Worker): MicroStats {
  const { beat, models } = condition;
  return {
    requests: totals.requests,
    errors: totals.errors,
    processingUs: totals.computeUs,
    lastError: totals.lastError,
    data: {
      state: beat?.state,
      device: beat?.device,
      heldBatches: beat?.inFlight,
      backlogUs: beat?.backlogUs,
      runs: totals.runs,
      meanBatchRows: totals.runs === 0 ? 0 : totals.rows / totals.runs,
      models: models.map(({ ref, state, bytes }) => ({ ref, state, bytes })),
    },
  };
}
