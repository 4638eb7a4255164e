/**
 * What `up --elastic` adds: a forecaster, an agent that starts and ends workers as it says, an
 * accelerated clock that load is booked under, and a day of load that is played against all of it.
 * The workers are processes with emulated devices of a stated pace.
 */

import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { seedFileOf } from "@millrace/broker";
import type { Bus } from "@millrace/bus";
import type { PriceBook } from "@millrace/costing";
import {
  DEFAULT_BACKOFF,
  InstanceFleet,
  memberVariables,
  nodeService,
  type Pool,
  ProcessHost,
} from "@millrace/fleet";
import { openMinuteFacts } from "@millrace/history";
import { DAY_US, factsOfTrace, parseTrace } from "@millrace/load-facts";
import { nowUs } from "@millrace/runtime";
import { CommandError, valueOf } from "../../failure.ts";
import { LogFile } from "../log-file.ts";
import type { Member } from "../members.ts";
import type { Nats } from "../nats.ts";
import { programOf } from "../processes.ts";
import type { Screen } from "../screen.ts";
import { type Day, dayOfTrace, madeUpDay, rateAt } from "./day.ts";
import { Accounts, renderDay, renderEnd } from "./day-view.ts";
import { serveFleet, UP_AGENT } from "./fleet-agent.ts";
import type { PlayerOptions } from "./player.ts";
import { Playing } from "./playing.ts";
import { dayPrices, renderPrices } from "./prices.ts";

export interface ElasticOptions {
  readonly nats: Nats;
  readonly directory: string;
  readonly bus: Bus;
  readonly dayMinutes: number;
  /** CSV whose last day is played; made up where absent. */
  readonly trace: string | undefined;
  readonly metricsPort: number;
  readonly say: (line: string) => void;
}

export interface Elastic {
  /** With the clock of the day, and with the forecaster. */
  readonly membersWith: (members: readonly Member[]) => readonly Member[];
  readonly play: (target: PlayTarget) => Promise<void>;
}

export interface PlayTarget {
  readonly url: string;
  readonly key: string;
  readonly model: string;
  readonly request: object;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

/** The example that the day's load is of, and the days' before it. */
export const DAY_MODEL = "digits";
const MINUTES_A_DAY = 1_440;
/** Of an emulated device: fifty rows a second, whatever the processor does. */
const ROW_US = 20_000;
const ROWS_PER_SECOND = 1_000_000 / ROW_US;
/** Requests a second, in real time, of the day's busiest step. */
const PEAK_PER_SECOND = 200;
const OBJECTIVE_MS = 300;
const TIMEOUT_MS = 2_000;
/**
 * A worker is ready after this time, where another starts before it: its process, and its models.
 */
const START_MS = 3_000;
/** The starts of two workers are as far apart as the processor time of one takes, and more. */
const START_GAP_MS = 1_500;
/** The cluster, and the fleet that the night needs, start before the day does. */
const LEAD_MS = 60_000;
const SHOWN_EVERY_MS = 1_000;
/** A log or a pipe keeps every table that it gets. */
const PLAIN_EVERY = 5;
const APPENDS_MAX = 256;

/** @throws CommandError for a trace that cannot be played. */
export async function openElastic(
  options: ElasticOptions,
  resources: AsyncDisposableStack,
): Promise<Elastic> {
  const { bus, directory, metricsPort, nats, say } = options;
  // Whole, as a clock's factor is.
  const scale = Math.round(MINUTES_A_DAY / options.dayMinutes);
  const day = scaled(await readDay(options.trace), scale);
  const beganAtUs = Date.now() * 1000;
  const clockBeganUs = day.day.startUs - LEAD_MS * 1000 * scale;
  const dayClock = { realUs: beganAtUs, virtualUs: clockBeganUs, scale };
  const clock = [beganAtUs / 1000, clockBeganUs / 1000, scale].join(",");
  const prices = dayPrices((START_MS / 1000) * scale);
  const priceFile = join(directory, "prices.json");
  writeFileSync(priceFile, renderPrices(prices));
  say(
    `One day in ${options.dayMinutes} minutes (${scale} times as fast), which begins in ` +
      `${LEAD_MS / 1000} s; load: ${day.source}`,
  );
  await writeHistory(bus, day);
  const driver = resources.use(openDriver(options, prices));
  serveFleet(bus, driver);
  const forecaster: Member = {
    id: "forecaster-1",
    role: "forecaster",
    env: {
      MILLRACE_ID: "forecaster-1",
      MILLRACE_NATS_URL: nats.servers,
      MILLRACE_NATS_SEED_FILE: seedFileOf(nats.credentialsDirectory, "forecaster"),
      MILLRACE_METRICS_PORT: String(metricsPort),
      MILLRACE_FLEET: "agent",
      MILLRACE_FLEET_AGENT: UP_AGENT,
      MILLRACE_PRICE_BOOK: priceFile,
      MILLRACE_SPOT: "true",
      MILLRACE_OBJECTIVE_MS: String(OBJECTIVE_MS),
      MILLRACE_WORKERS_MIN: "1",
      MILLRACE_WORKERS_MAX: "12",
      MILLRACE_ELASTIC_INTERVAL_MS: "1000",
      MILLRACE_ELASTIC_HOLD_S: String(Math.round(15 * scale)),
      MILLRACE_CLOCK: clock,
    },
  };
  // It stands where the first workers do, so that what goes to the others is seen to cross.
  const zone = prices.zones[0] === undefined ? {} : { MILLRACE_ZONE: prices.zones[0] };
  const more: Partial<Record<Member["role"], Readonly<Record<string, string>>>> = {
    ingress: { MILLRACE_CLOCK: clock, ...zone },
    scheduler: { MILLRACE_WAIT_FOR_WORKERS: "true" },
  };
  return {
    membersWith: (members) => [
      ...members.map((member) => ({ ...member, env: { ...member.env, ...more[member.role] } })),
      forecaster,
    ],
    play: (target) => play({ target, day, clock: dayClock, driver, prices, bus }),
  };
}

/** Counts such that the busiest step has the peak's rate in real time. */
function scaled(day: Day, scale: number): Day {
  const most = Math.max(...day.day.values.filter((value) => !Number.isNaN(value)));
  const stepSeconds = day.day.stepUs / 1_000_000 / scale;
  const factor = (PEAK_PER_SECOND * stepSeconds) / most;
  const times = (values: readonly number[]): number[] =>
    values.map((value) => Math.round(value * factor));
  return {
    history: { ...day.history, values: times(day.history.values) },
    day: { ...day.day, values: times(day.day.values) },
    source: day.source,
  };
}

async function readDay(path: string | undefined): Promise<Day> {
  if (path === undefined) return madeUpDay();
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new CommandError(`${path}: ${(error as Error).message}`, "name a CSV file");
  });
  const trace = parseTrace(text);
  if (!trace.ok) {
    throw new CommandError(`${path} is no trace`, "`millrace load check FILE` says what is wrong");
  }
  const day = dayOfTrace(trace.value.series, path);
  if (day !== undefined) return day;
  throw new CommandError(
    `${path} is too short`,
    "two days at least: one is played, one is history",
  );
}

/** The history belongs to the demonstration's own folder, and is written anew each time. */
async function writeHistory(bus: Bus, { history }: Day): Promise<void> {
  const facts = factsOfTrace(
    { kind: "counts", series: history, sums: {}, repairs: [] },
    { model: DAY_MODEL, priority: "realtime", source: "import" },
  );
  const log = openMinuteFacts(bus.connection);
  valueOf(await log.clear());
  for (let from = 0; from < facts.length; from += APPENDS_MAX) {
    const some = facts.slice(from, from + APPENDS_MAX);
    (await Promise.all(some.map((fact) => log.append(fact)))).forEach(valueOf);
  }
}

function openDriver({ directory, nats }: ElasticOptions, prices: PriceBook): InstanceFleet {
  const pools = prices.offers.map(({ kind, lifecycle, zone }) => ({ kind, zone, lifecycle }));
  const logs = new Map<string, LogFile>();
  const launch = (id: string, pool: Pool) => {
    const log = new LogFile(join(directory, "logs", `${id}.log`));
    logs.set(id, log);
    return {
      ...nodeService(programOf("gpu-worker"), {
        ...memberVariables(id, pool),
        MILLRACE_NATS_URL: nats.servers,
        MILLRACE_NATS_SEED_FILE: seedFileOf(nats.credentialsDirectory, "gpu-worker"),
        MILLRACE_DEVICE: "emulated",
        MILLRACE_DEVICE_MEMORY: "1GiB",
        MILLRACE_EMULATED_ROW_US: String(ROW_US),
        MILLRACE_THREADS: "1",
        MILLRACE_METRICS_PORT: "0",
        // NATS stands where the ingress does.
        ...(prices.zones[0] === undefined ? {} : { MILLRACE_STORE_ZONE: prices.zones[0] }),
        MILLRACE_CACHE_DIR: join(directory, "models"),
      }),
      backoff: DEFAULT_BACKOFF,
      onLine: (line: string) => log.write(line),
    };
  };
  const host = new ProcessHost({ launch, startGapMs: START_GAP_MS });
  return new InstanceFleet({ host, pools, nowUs });
}

interface Stage {
  readonly target: PlayTarget;
  readonly day: Day;
  readonly clock: PlayerOptions["clock"];
  readonly driver: InstanceFleet;
  readonly prices: PriceBook;
  readonly bus: Bus;
}

async function play({ bus, clock, day, driver, prices, target }: Stage): Promise<void> {
  const { screen, signal } = target;
  const { scale } = clock;
  const dayUs = (): number => clock.virtualUs + (Date.now() * 1000 - clock.realUs) * scale;
  const startUs = Math.max(day.day.startUs, dayUs());
  const accounts = new Accounts({ prices, load: day.day, perWorker: ROWS_PER_SECOND / scale });
  const { key, model, request, url } = target;
  const options = { key, model, request, url, load: day.day, clock };
  const times = { objectiveMs: OBJECTIVE_MS, timeoutMs: TIMEOUT_MS };
  const endUs = day.day.startUs + DAY_US;
  const playing = new Playing({ ...options, ...times }, endUs);
  let lastUs = dayUs();
  let looks = 0;
  while (!playing.isOver && !signal.aborted) {
    await sleep(SHOWN_EVERY_MS, undefined, { signal }).catch(() => undefined);
    // The last answers come after the day.
    const atUs = Math.min(endUs, dayUs());
    const listed = await driver.list();
    const members = listed.ok ? listed.value.members.filter(({ state }) => state !== "gone") : [];
    // What starts before the day is not the day's cost.
    accounts.pass(members, Math.max(0, atUs - Math.max(lastUs, startUs)));
    lastUs = atUs;
    const look = {
      atUs,
      beginsInS: Math.ceil((startUs - atUs) / scale / 1_000_000),
      offeredPerSecond: rateAt(day.day, atUs) * scale,
      members,
      decision: await accounts.decision(bus),
      played: playing.played,
      costs: accounts.costs,
    };
    if (atUs >= startUs) accounts.note(look);
    looks++;
    if (screen.isTerminal || looks % PLAIN_EVERY === 0) screen.show(`\n${renderDay(look)}`);
  }
  await playing.stop();
  screen.release();
  const over = { startUs, endUs: lastUs, isWhole: !signal.aborted, objectiveMs: OBJECTIVE_MS };
  screen.say(renderEnd(playing.played, accounts, over));
}
