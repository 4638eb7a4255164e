/** A chaos-monkey from start to end: connection, world, orders, monkey mode, and the healing. */

import { once } from "node:events";
import { type Bus, connectBus, serveMicro } from "@millrace/bus";
import { DockerWorld, type FaultWorld, LocalWorld } from "@millrace/faults";
import {
  type Blast,
  CHAOS_COMMAND,
  type Drawing,
  type Fault,
  fault,
  type FaultKind,
} from "@millrace/protocol";
import {
  ConfigError,
  createLogger,
  createMetrics,
  type Metrics,
  serveMetrics,
} from "@millrace/runtime";
import { fail, type Log, ok, type Result } from "@millrace/std";
import { Commands } from "./commands.ts";
import type { ChaosConfig } from "./config.ts";
import { Desk } from "./desk.ts";
import { Journal } from "./journal.ts";
import { runMonkey } from "./monkey.ts";
import { Pulse } from "./pulse.ts";

const VERSION = "0.1.0";
const ROLE = "chaos-monkey";
const INBOX_PREFIX = "_INBOX_chaos";

/** @throws ConfigError where nothing, or two things, are said to be ours to hit. */
export async function runChaosMonkey(config: ChaosConfig, signal: AbortSignal): Promise<void> {
  const { id, natsServers, natsSeed, groundFile, composeProject } = config;
  if ((groundFile === "") === (composeProject === "")) {
    throw new ConfigError("set either MILLRACE_CHAOS_GROUND or MILLRACE_CHAOS_COMPOSE");
  }
  const log = createLogger({ role: ROLE, id, level: config.logLevel });
  const metrics = createMetrics({ role: ROLE, id });
  await using opened = new AsyncDisposableStack();
  const bus = opened.use(
    await connectBus({
      servers: natsServers,
      name: id,
      seed: natsSeed,
      inboxPrefix: INBOX_PREFIX,
      log,
      signal,
    }),
  );
  const enabled = config.chaos === "1";
  const journal = new Journal(bus, log);
  const world = opened.use(openWorld(config, bus, log));
  const desk = new Desk({ world, journal, enabled, onEnd: countFaults(metrics) });
  const monkey = new MonkeyMode({ desk, world, pulse: new Pulse(bus), journal, config });
  const commands = new Commands({ bus, desk, world, journal, enabled, monkey });
  showRunning(metrics, desk);
  serveStats(bus, id, commands, desk);
  const { metricsHost: host, metricsPort: port } = config;
  const health = () => ({ ok: bus.connected, detail: { enabled, running: desk.running.length } });
  opened.use(await serveMetrics({ registry: metrics.registry, health, host, port }));
  log.info({ enabled, groundFile, composeProject }, "waiting for orders");
  if (config.monkey === "1") startConfigured(monkey, config, journal);
  if (!signal.aborted) await once(signal, "abort");
  await monkey.stop();
  await desk.healAll();
}

function openWorld(config: ChaosConfig, bus: Bus, log: Log): FaultWorld {
  const { groundFile, composeProject, natsServers, natsSeed, seed } = config;
  if (composeProject !== "") return new DockerWorld({ project: composeProject });
  const access = { servers: natsServers, seed: natsSeed, inboxPrefix: INBOX_PREFIX };
  return new LocalWorld({ groundFile, bus, access, log, seed });
}

function startConfigured(monkey: MonkeyMode, config: ChaosConfig, journal: Journal): void {
  const { seed, meanMs, distanceMs, durationMs, kinds, targetsMax, healthyMin } = config;
  const drawing = {
    seed,
    meanUs: meanMs * 1000,
    distanceUs: distanceMs * 1000,
    durationUs: durationMs * 1000,
    ...(kinds.includes("any") ? {} : { kinds: kinds as FaultKind[] }),
  };
  const started = monkey.start(drawing, { targetsMax, fractionMax: 1, healthyMin });
  if (!started.ok) journal.write({ event: "refused", detail: started.error.message });
}

interface MonkeyParts {
  readonly desk: Desk;
  readonly world: FaultWorld;
  readonly pulse: Pulse;
  readonly journal: Journal;
  readonly config: ChaosConfig;
}

/** At most one run of the monkey mode at a time. */
class MonkeyMode {
  readonly #parts: MonkeyParts;
  #run: { readonly ending: AbortController; readonly ended: Promise<void> } | undefined;

  constructor(parts: MonkeyParts) {
    this.#parts = parts;
  }

  get on(): boolean {
    return this.#run !== undefined;
  }

  start(drawing: Drawing, blast: Blast): Result<void, Fault> {
    const { config, ...parts } = this.#parts;
    if (config.chaos !== "1") {
      return fail(fault("FAULT_DISABLED", "start the chaos-monkey with MILLRACE_CHAOS=1"));
    }
    if (this.#run !== undefined) {
      return fail(fault("FAULT_UNAVAILABLE", "the monkey mode is on already: abort it first"));
    }
    const ending = new AbortController();
    const { window } = config;
    const options = { ...parts, window, drawing, blast, signal: ending.signal };
    const ended = runMonkey(options).finally(() => (this.#run = undefined));
    this.#run = { ending, ended };
    return ok(undefined);
  }

  /** The fault that it has drawn is healed by whoever stops it. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    run.ending.abort();
    await this.#parts.desk.healAll();
    await run.ended;
  }
}

function countFaults(metrics: Metrics) {
  const ended = metrics.counter({
    name: "millrace_chaos_faults_total",
    help: "Faults that are over",
    labels: ["kind", "end"],
  });
  return ({ kind }: { readonly kind: string }, end: string): void =>
    ended.labels({ kind, end }).inc();
}

function showRunning(metrics: Metrics, desk: Desk): void {
  const running = metrics.gauge({
    name: "millrace_chaos_running_faults",
    help: "Faults that are under way",
    collect: () => running.labels({}).set(desk.running.length),
  });
}

function serveStats(bus: Bus, id: string, commands: Commands, desk: Desk): void {
  serveMicro(bus, {
    name: ROLE,
    version: VERSION,
    description: "Injects faults on purpose, within bounds, and heals them",
    metadata: { id },
    endpoints: [
      {
        name: "command",
        subject: CHAOS_COMMAND,
        stats: () => ({
          requests: commands.totals.commands,
          errors: commands.totals.refused,
          processingUs: 0,
          lastError: commands.totals.lastRefusal,
          data: { running: desk.running },
        }),
      },
    ],
  });
}
