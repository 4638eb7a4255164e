/**
 * A worker from start to end: configuration, connection, device, and the drain. gpu-worker and
 * cpu-worker differ in their role and in the device that they take by default.
 */

import { addAbortListener } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { subjects } from "@millrace/protocol";
import { formatBytes } from "@millrace/std";
import { type Bus, connectBus, type MicroStats, serveMicro } from "@millrace/bus";
import { type Engine, openEngine } from "@millrace/engine";
import {
  createLogger,
  createMetrics,
  type Health,
  type Logger,
  PoisonedDeviceError,
  serveMetrics,
} from "@millrace/runtime";
import { assemble, type Worker } from "./assembly.ts";
import type { WorkerConfig, WorkerRole } from "./config.ts";

export interface WorkerService {
  readonly role: WorkerRole;
  readonly config: WorkerConfig;
  /** Ends the worker: it drains, and then returns. */
  readonly signal: AbortSignal;
}

const VERSION = "0.1.0";
/** A device that hangs must not keep the process. */
const ENGINE_CLOSE_MS_MAX = 2_000;

/** @throws PoisonedDeviceError when the device is lost; FaultError when no device starts. */
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
  const { engine } = opened.use(await openDevice(config, log));
  const worker = opened.use(await assemble({ role, config, bus, engine, metrics, log }));
  here.worker = worker;
  // It ends with the connection.
  serveMicro(bus, {
    name: role,
    version: VERSION,
    description: "Runs batches of inference requests on one device",
    metadata: { id },
    endpoints: [{ name: "assign", subject: subjects.assign(id), stats: () => statsOf(worker) }],
  });
  opened.use(addAbortListener(signal, () => worker.drain()));
  const { reason, detail } = await worker.exited;
  log.info({ reason, detail }, "ending");
  if (reason === "poisoned") throw new PoisonedDeviceError(detail);
}

/** The engine on its device; closing it waits only so long. */
async function openDevice(
  config: WorkerConfig,
  log: Logger,
): Promise<AsyncDisposable & { readonly engine: Engine }> {
  const { device, deviceIndex, threads, deviceMemoryBytes } = config;
  const budget = deviceMemoryBytes === undefined ? {} : { memoryBudgetBytes: deviceMemoryBytes };
  const engine = await openEngine({ device, deviceIndex, threads, ...budget });
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
