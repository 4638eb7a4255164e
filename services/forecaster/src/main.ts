/** Starts a forecaster: configuration, connection, lease, the elastic service, and its end. */

import { readFileSync } from "node:fs";
import { type Bus, connectBus, serveMicro } from "@millrace/bus";
import {
  DEFAULT_PRICE_BOOK,
  describeProblem,
  type ModelLimits,
  parseModelLimits,
  parsePriceBook,
  type PriceBook,
} from "@millrace/costing";
import { ElasticCore } from "@millrace/elasticity";
import { describeProblem as describeLine } from "@millrace/load-facts";
import { DEMAND, type KnownEvent, parseEvents } from "@millrace/forecasting";
import { Documents, Lease, openLedger } from "@millrace/history";
import { FOLLOW_OPTIONS, PLAN_RULES, SPOT_RULES } from "@millrace/planning";
import { ProphetThread } from "@millrace/prophet";
import { type BudgetEvent, encodeJson, subjects } from "@millrace/protocol";
import {
  ConfigError,
  createLogger,
  createMetrics,
  readConfig,
  runService,
  serveMetrics,
} from "@millrace/runtime";
import type { Log } from "@millrace/std";
import { BudgetWatch } from "./budget-watch.ts";
import { fields, type ForecasterConfig } from "./config.ts";
import { ElasticService } from "./elastic-service.ts";
import { Figures } from "./figures.ts";
import { offersOf, openFleet } from "./open-fleet.ts";
import { ProphetDays, type ProphetPart } from "./prophet-days.ts";

const VERSION = "0.1.0";
const SECOND_US = 1_000_000;

await runService(async ({ signal }) => run(readConfig(fields, process.env), signal));

async function run(config: ForecasterConfig, signal: AbortSignal): Promise<void> {
  const { clock, id } = config;
  const prices = readPrices(config);
  const events = readEvents(config);
  const limits = readLimits(config);
  const log = createLogger({ role: "forecaster", id, level: config.logLevel });
  const metrics = createMetrics({ role: "forecaster", id });
  await using opened = new AsyncDisposableStack();
  const bus = opened.use(
    await connectBus({
      servers: config.natsServers,
      name: id,
      seed: config.natsSeed,
      inboxPrefix: "_INBOX_forecaster",
      log,
      signal,
    }),
  );
  const { connection } = bus;
  const figures = new Figures(metrics);
  opened.use(
    await serveMetrics({
      registry: metrics.registry,
      health: () => ({ ok: bus.connected, detail: { connected: bus.connected } }),
      host: config.metricsHost,
      port: config.metricsPort,
    }),
  );
  const lease = opened.use(await Lease.open(connection, { name: "forecaster", holder: id, log }));
  const offered = prices.offers.map(({ kind, zone, lifecycle }) => ({ kind, zone, lifecycle }));
  const driver = await openFleet({ config, connection, offered, epoch: () => lease.epoch });
  if (driver !== undefined) opened.use(driver);
  const documents = await Documents.open(connection);
  const buyable = driver === undefined ? prices : offersOf(prices, driver.pools);
  const core = new ElasticCore(optionsOf(config, buyable, limits));
  const service = opened.use(
    new ElasticService({
      bus,
      core,
      clock,
      lease,
      documents,
      driver,
      events,
      defers: config.batchWaitSeconds > 0 || [...limits.values()].some(mayWait),
      prophet: config.prophet === "off" ? undefined : openProphet(config.prophet, opened),
      budget: openBudget(config, prices, bus, log),
      figures,
      log,
    }),
  );
  serveMicro(bus, {
    name: "forecaster",
    version: VERSION,
    description: "Forecasts the load, plans the fleet, follows it, and books what it cost",
    metadata: { id },
    endpoints: [
      { name: "plan", subject: subjects.fleet(config.fleetAgent), stats: () => figures.stats },
    ],
  });
  log.info({ fleet: config.fleet, prices: prices.name, scale: clock.scale }, "ready");
  const running = service.run();
  signal.addEventListener("abort", () => void service[Symbol.asyncDispose](), { once: true });
  await running;
}

function mayWait({ batchWaitSeconds = 0 }: ModelLimits): boolean {
  return batchWaitSeconds > 0;
}

function openProphet(part: ProphetPart, opened: AsyncDisposableStack): ProphetDays {
  return new ProphetDays(opened.use(new ProphetThread()), part);
}

function openBudget(
  { budgetPerMonth: micros }: ForecasterConfig,
  prices: PriceBook,
  bus: Bus,
  log: Log,
): BudgetWatch | undefined {
  if (micros === undefined) return undefined;
  const raised = (event: BudgetEvent): void =>
    void bus.publish(subjects.event("budget"), encodeJson(event));
  return new BudgetWatch({ micros, prices, ledger: openLedger(bus.connection), log, raised });
}

function optionsOf(
  config: ForecasterConfig,
  prices: PriceBook,
  limits: ReadonlyMap<string, ModelLimits>,
) {
  const { advisory, clock, holdSeconds, intervalMs, workersMax, workersMin } = config;
  const budget = config.budgetPerHour;
  // What is set in real time is on a faster clock as many times as long.
  const scaled = (us: number): number => us * clock.scale;
  const intervalUs = scaled(intervalMs * 1000);
  return {
    policy: config.policy,
    limits,
    batchWaitUs: config.batchWaitSeconds * SECOND_US,
    prices,
    kinds: prices.kinds.map(({ kind }) => kind),
    rules: {
      ...PLAN_RULES,
      ...(config.spot ? { spot: SPOT_RULES } : {}),
      ...(budget === undefined ? {} : { budgetMicrosPerHour: budget }),
    },
    follow: {
      ...FOLLOW_OPTIONS,
      workersMin,
      workersMax,
      intervalUs,
      stableUs: Math.max(FOLLOW_OPTIONS.stableUs, 4 * intervalUs),
      panicUs: Math.max(FOLLOW_OPTIONS.panicUs, intervalUs),
      drainUs: Math.max(FOLLOW_OPTIONS.drainUs, 4 * intervalUs),
      holdUs: holdSeconds * SECOND_US,
      advisory: advisory || config.fleet === "none",
    },
    quantile: String(DEMAND),
    objectiveUs: scaled(config.objectiveMs * 1000),
    objectivesUs: new Map(
      [...limits].flatMap(([model, { objectiveMs }]) =>
        objectiveMs === undefined ? [] : [[model, scaled(objectiveMs * 1000)] as const],
      ),
    ),
    refitUs: 3_600 * SECOND_US,
    planUs: 300 * SECOND_US,
    settleUs: scaled(3 * SECOND_US),
    silentUsMax: scaled(2 * SECOND_US),
    refusedForUs: Math.max(120 * SECOND_US, scaled(SECOND_US)),
    // A process of this machine has a minute of real time, on a faster clock too.
    startUpUsMin: scaled(30 * SECOND_US),
  };
}

function readPrices({ priceBook }: ForecasterConfig): PriceBook {
  if (priceBook === undefined) return DEFAULT_PRICE_BOOK;
  const book = parsePriceBook(readText("MILLRACE_PRICE_BOOK", priceBook));
  if (book.ok) return book.value;
  throw new ConfigError(`${priceBook}: ${book.error.map(describeProblem).join("; ")}`);
}

function readLimits({ limitsFile }: ForecasterConfig): ReadonlyMap<string, ModelLimits> {
  if (limitsFile === undefined) return new Map();
  const limits = parseModelLimits(readText("MILLRACE_MODEL_LIMITS_FILE", limitsFile));
  if (limits.ok) return limits.value;
  throw new ConfigError(`${limitsFile}: ${limits.error.map(describeProblem).join("; ")}`);
}

function readEvents({ eventsFile }: ForecasterConfig): readonly KnownEvent[] {
  if (eventsFile === undefined) return [];
  const events = parseEvents(readText("MILLRACE_EVENTS_FILE", eventsFile));
  if (events.ok) return events.value;
  throw new ConfigError(`${eventsFile}: ${describeLine(events.error)}`);
}

function readText(variable: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`${variable}: ${(error as Error).message}`);
  }
}
