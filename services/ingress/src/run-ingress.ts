/** An ingress from start to end: keys, connection, clients, registry, and the drain. */

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type Bus, connectBus, serveMicro } from "@millrace/bus";
import { clockHook, serveHooks } from "@millrace/faults";
import { openMinuteFacts } from "@millrace/history";
import { type LoadFact, subjects } from "@millrace/protocol";
import {
  createLogger,
  createMetrics,
  type Health,
  serveMetrics,
  type WallClock,
} from "@millrace/runtime";
import type { Log } from "@millrace/std";
import { openJobStore, openStore } from "@millrace/store";
import type { Catalogue } from "./catalogue.ts";
import type { IngressConfig } from "./config.ts";
import { Ingress } from "./ingress.ts";
import { checkWebhookConfig } from "./jobs/webhooks.ts";
import { KeyFile } from "./key-file.ts";
import { LoadRecorder } from "./load-recorder.ts";
import { boundOldGeneration } from "./old-generation.ts";
import { announceZone } from "./zones.ts";

export interface IngressService {
  readonly config: IngressConfig;
  /** Ends the ingress: it drains, and then returns. */
  readonly signal: AbortSignal;
  /** Told where clients are served, once they are. */
  readonly listening?: (port: number) => void;
}

const VERSION = "0.1.0";
const HOUR_MS = 3_600_000;
const ADDRESS_BYTES = 4;
const ID_LENGTH_MAX = 64 - 1 - 2 * ADDRESS_BYTES;

/**
 * I2: this process's address on the bus. It differs from that of the process before, whose late
 * answers could otherwise be taken for answers to requests with the same number.
 */
const addressOf = (id: string): string =>
  `${id.slice(0, ID_LENGTH_MAX)}-${randomBytes(ADDRESS_BYTES).toString("hex")}`;

/** @throws ConfigError where the keys or the webhooks are not in order. */
export async function runIngress({ config, signal, listening }: IngressService): Promise<void> {
  const { id } = config;
  checkWebhookConfig(config);
  const log = createLogger({ role: "ingress", id, level: config.logLevel });
  const metrics = createMetrics({ role: "ingress", id });
  await using opened = new AsyncDisposableStack();
  const keys = opened.use(new KeyFile(config, log));
  const reload = (): void => keys.reload();
  process.on("SIGHUP", reload);
  opened.defer(() => void process.off("SIGHUP", reload));
  const here: { bus?: Bus; ingress?: Ingress } = {};
  const health = (): Health => {
    const detail = {
      connected: here.bus?.connected ?? false,
      ready: here.ingress?.isReady ?? false,
    };
    return { ok: detail.ready, detail };
  };
  const { metricsHost, metricsPort } = config;
  opened.use(
    await serveMetrics({
      registry: metrics.registry,
      health,
      host: metricsHost,
      port: metricsPort,
    }),
  );
  const address = addressOf(id);
  const bus = opened.use(
    await connectBus({
      servers: config.natsServers,
      name: address,
      seed: config.natsSeed,
      inboxPrefix: "_INBOX_ingress",
      log,
      signal,
    }),
  );
  here.bus = bus;
  opened.use(announceZone(bus, address, config.zone));
  const jobStore = await openJobStore(bus.connection, { keptMs: config.jobKeptHours * HOUR_MS });
  const load = opened.use(recordLoad(bus, address, config.clock, log));
  const ingress = opened.use(
    new Ingress({ config, address, version: VERSION, bus, keys, jobStore, load, metrics, log }),
  );
  here.ingress = ingress;
  serveMicro(bus, {
    name: "ingress",
    version: VERSION,
    description: "Answers inference requests over HTTP",
    metadata: { id, address },
    endpoints: [{ name: "infer", subject: subjects.answer(address), stats: () => ingress.stats }],
  });
  if (config.chaos === "1") {
    serveHooks({ bus, role: "ingress", id, log, handlers: { "clock-skew": clockHook } });
  }
  opened.use(boundOldGeneration());
  const port = await ingress.listen();
  listening?.(port);
  log.info({ host: config.httpHost, port, address }, "serving");
  const aborted = signal.aborted ? Promise.resolve() : once(signal, "abort");
  const watching = followRegistry(bus, ingress.catalogue, log);
  // It fails only when the connection ends before the registry was read.
  const watch = await Promise.race([watching, aborted.then(() => undefined)]);
  if (watch !== undefined) {
    opened.use(watch);
    ingress.runJobs();
  }
  await aborted;
  await ingress.drain();
}

/** What was counted is written down when the minute is over, and when the ingress ends. */
function recordLoad(bus: Bus, source: string, clock: WallClock, log: Log): LoadRecorder {
  const facts = openMinuteFacts(bus.connection);
  let problem = "";
  const write = async (fact: LoadFact): Promise<boolean> => {
    const written = await facts.append(fact);
    const message = written.ok ? "" : written.error.message;
    if (message !== "" && message !== problem) log.warn({ reason: message }, "load facts");
    problem = message;
    return written.ok;
  };
  return new LoadRecorder({ source, wallUs: clock.nowUs, scale: clock.scale, write });
}

/** Resolves when the catalogue knows what the registry holds. */
async function followRegistry(bus: Bus, catalogue: Catalogue, log: Log): Promise<AsyncDisposable> {
  const { registry } = await openStore(bus.connection, { create: false, replicas: 1 });
  const watch = await registry.watch({
    changed: (record) => catalogue.changed(record),
    removed: (name) => catalogue.removed(name),
    problem: ({ code, message }) => log.warn({ code, reason: message }, "registry"),
  });
  catalogue.complete();
  return watch;
}
