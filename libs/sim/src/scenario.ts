/**
 * Everything that a seed decides: the cluster, its models, its load, and its faults. Faults are
 * drawn by swarm (Groce et al., Swarm Testing, ISSTA 2012): each run leaves some kinds out wholly,
 * because a run with every fault at once hides what only a few of them together bring about.
 */

import type { DeviceClass } from "@millrace/protocol";
import { type Random, seededRandom } from "@millrace/std";
import type { NetworkOptions } from "./network.ts";

export const MIB = 1024 * 1024;
/** Rows of one request. */
export const ROWS_MAX = 4;
const MS = 1_000;
/** A gentle run lets the cluster answer one incident before the next. */
export const GENTLE_GAP_US = 500 * MS;
/** Five minutes, as far as clocks are found to be apart. */
const JOBS_MAX = 4;
const SKEW_US_MAX = 300_000 * MS;

/** What happens at moments of its own, each kind at its own rate. */
export const INCIDENTS = [
  "workerCrash",
  "schedulerCrash",
  "ingressCrash",
  "hang",
  "pause",
  "partition",
  "disconnect",
  "brokerRestart",
  "workerDrain",
  "schedulerDrain",
  "ingressDrain",
  "newVersion",
  "rollback",
  "readd",
  "surge",
  "herd",
  "slow",
  "latency",
  "halfOpen",
  "slowConsumer",
  "gpuLost",
  "gpuFull",
  "spotNotice",
  "corruptCache",
  "allWorkersGone",
] as const;
export type Incident = (typeof INCIDENTS)[number];

/** Somebody notices these soon: a request with time enough is tried again, and succeeds. */
const NOTICED: readonly Incident[] = [
  "workerCrash",
  "schedulerCrash",
  "hang",
  "disconnect",
  "brokerRestart",
  "workerDrain",
  "schedulerDrain",
  "ingressDrain",
  "newVersion",
  "rollback",
  "pause",
  "spotNotice",
  "corruptCache",
];

/** After these no input of its own makes a request lose two workers. */
const KEEP_WORKERS: readonly Incident[] = [
  "ingressDrain",
  "newVersion",
  "rollback",
  "surge",
  "herd",
  "slow",
  "corruptCache",
];

const TAKES_WORKERS: readonly Incident[] = ["workerCrash", "workerDrain", "spotNotice"];

export interface ModelPlan {
  readonly name: string;
  readonly fileBytes: number;
  /** What it really takes, on any device. */
  readonly loadedBytes: number;
  readonly maxBatch: number;
  /** Longest input along the padded axis; 0 for a model without one. */
  readonly lengthMax: number;
  /** A run on the fastest device: fixed, and per row. */
  readonly runUs: number;
  readonly rowUs: number;
  readonly loadUs: number;
  /** Part of all requests. */
  readonly share: number;
  /** Part of its requests whose bodies stay at the ingress. */
  readonly remote: number;
}

export interface WorkerPlan {
  readonly id: string;
  readonly role: "gpu-worker" | "cpu-worker";
  readonly class: DeviceClass;
  readonly memoryBytes: number;
  /** Times what a run takes on the fastest device. */
  readonly slowness: number;
}

export interface Scenario {
  readonly seed: number;
  /** Only faults that somebody notices: then every request with time enough must succeed. */
  readonly gentle: boolean;
  /** No faults at all, and a load that its devices can carry: then no work is left lying. */
  readonly calm: boolean;
  readonly ingresses: readonly string[];
  readonly schedulers: readonly string[];
  readonly workers: readonly WorkerPlan[];
  readonly models: readonly ModelPlan[];
  readonly network: NetworkOptions;
  /** Requests a second in the safety phase. */
  readonly rate: number;
  readonly tiers: readonly [realtime: number, standard: number, batch: number];
  readonly deadlineUsMin: number;
  readonly deadlineUsMax: number;
  /** Requests with at least this much time are owed a result, whatever is done in the run. */
  readonly owedUsMin: number;
  /** Part of the clients that go away before their answer. */
  readonly abandons: number;
  readonly poison: number;
  /** Durable jobs, which are submitted in the safety phase. */
  readonly jobs: number;
  /** Part of the inputs that end the worker that runs them. */
  readonly killers: number;
  /** How far apart the clocks of the processes are at most. */
  readonly clockSkewUs: number;
  /** Retries and hedges that an ingress may save up. */
  readonly retryBurst: number;
  /** Per run: it takes ten times as long; it poisons the device. */
  readonly straggles: number;
  readonly fatal: number;
  /** Per load. */
  readonly loadFails: number;
  /** Mean time between two incidents of a kind; the kinds that are not there do not happen. */
  readonly incidents: ReadonlyMap<Incident, number>;
  /** The part of crashes that the broker notices at once. */
  readonly noticed: number;
  readonly safetyUs: number;
  readonly openMax: number;
  readonly queueTicketsMax: number;
  /** A model that nobody asked for so long leaves its devices; Infinity where none does. */
  readonly parkAfterUs: number;
  /** Requests wait for a first worker until their deadlines. */
  readonly waitsForWorkers: boolean;
  /** Members stand in zones and say so; else nobody does. */
  readonly zoned: boolean;
}

export function drawScenario(seed: number): Scenario {
  const drawn = drawFaulty(seed);
  const random = seededRandom(seed ^ CALM);
  return random.chance(CALM_PART) ? calmed(drawn, random) : drawn;
}

/** Draws of their own, so that the others do not depend on them. */
const CALM = 0xca1;
const CALM_PART = 0.15;

/** The same cluster with room for every model, and nothing that happens to it. */
function calmed(drawn: Scenario, random: Random): Scenario {
  const { models, workers, network } = drawn;
  const memoryBytes = roomFor(models);
  const roomy = workers.map((worker) => ({ ...worker, memoryBytes }));
  const used = 0.2 + 0.7 * random.next();
  return {
    ...drawn,
    gentle: false,
    calm: true,
    workers: roomy,
    network: { ...network, jitterUs: 500, loss: 0, duplication: 0, reordering: 0 },
    rate: Math.min(CALM_RATE_MAX, used * capacity({ models, workers })),
    owedUsMin: Infinity,
    abandons: 0,
    poison: 0,
    killers: 0,
    jobs: 0,
    straggles: 0,
    fatal: 0,
    loadFails: 0,
    incidents: new Map(),
    openMax: 8_192,
    queueTicketsMax: 8_192,
    retryBurst: 1_000,
    parkAfterUs: Infinity,
    zoned: false,
  };
}

const CALM_RATE_MAX = 1_000;

/** Requests a second of all devices together, without any batching. */
function capacity({ models, workers }: Pick<Scenario, "models" | "workers">): number {
  const shares = models.reduce((sum, { share }) => sum + share, 0);
  let us = 0;
  for (const { share, runUs, rowUs } of models) {
    us += (share / shares) * (runUs + ((1 + ROWS_MAX) / 2) * rowUs);
  }
  return workers.reduce((sum, { slowness }) => sum + 1_000_000 / (us * slowness), 0);
}

function drawFaulty(seed: number): Scenario {
  const random = seededRandom(seed);
  const gentle = random.chance(0.3);
  const models = drawModels(random.fork());
  const workers = drawWorkers(random.fork(), models, gentle);
  const faults = random.fork();
  const present = (most: number): number => (faults.chance(0.5) ? faults.next() * most : 0);
  const hard = (most: number): number => (gentle ? 0 : present(most));
  const small = !gentle && random.chance(0.3);
  const deadlineUsMin = within(random, 20 * MS, 400 * MS);
  const incidents = drawIncidents(faults, gentle);
  const tiers = [random.next(), random.next(), random.next()] as const;
  const jobs = gentle || faults.chance(0.5) ? 0 : within(faults, 1, JOBS_MAX);
  return {
    seed,
    gentle,
    calm: false,
    ingresses: names("ingress", 1 + random.below(2)),
    schedulers: names("scheduler", gentle ? 2 : 1 + random.below(3)),
    workers,
    models,
    network: {
      delayUs: within(random, 50, 500),
      jitterUs: within(random, 20, gentle ? 500 : 3_000),
      loss: hard(0.03),
      duplication: hard(0.05),
      reordering: hard(0.1),
      lateUs: within(random, 1 * MS, 100 * MS),
    },
    rate: gentle ? within(random, 40, 250) : within(random, 40, 500),
    tiers,
    deadlineUsMin,
    deadlineUsMax: deadlineUsMin + within(random, 100 * MS, 4_000 * MS),
    owedUsMin: owedUsMin(gentle, incidents),
    abandons: present(0.1),
    poison: hard(0.02),
    jobs,
    killers: hard(0.004),
    clockSkewUs: faults.chance(0.5) ? SKEW_US_MAX : 1_000 * MS,
    retryBurst: small ? within(random, 5, 50) : 1_000,
    straggles: hard(0.02),
    fatal: hard(0.005),
    loadFails: hard(0.2),
    incidents,
    noticed: faults.chance(0.5) ? 1 : faults.next(),
    safetyUs: within(random, 1_500 * MS, 3_000 * MS),
    openMax: small ? within(random, 50, 150) : 8_192,
    queueTicketsMax: small ? within(random, 40, 100) : 8_192,
    // Models that come and go all the time would be excuse enough for what is late.
    parkAfterUs: random.chance(0.3)
      ? within(random, (gentle ? 1_000 : 20) * MS, (gentle ? 2_000 : 1_000) * MS)
      : Infinity,
    waitsForWorkers: random.chance(0.3),
    zoned: random.chance(0.5),
  };
}

/** True where workers end by nothing but the inputs that they run. */
export const losesWorkersByInputOnly = ({ network, fatal, incidents }: Scenario): boolean =>
  network.loss === 0 &&
  network.duplication === 0 &&
  network.reordering === 0 &&
  fatal === 0 &&
  [...incidents.keys()].every((kind) => KEEP_WORKERS.includes(kind));

/**
 * True where workers end by nothing but that all of them do, and everybody is told: once at most in
 * the time of a request.
 */
export const losesWorkersTogetherOnly = (scenario: Scenario): boolean =>
  scenario.gentle &&
  scenario.noticed === 1 &&
  scenario.deadlineUsMax < GENTLE_GAP_US &&
  [...scenario.incidents.keys()].every(
    (kind) => kind === "allWorkersGone" || KEEP_WORKERS.includes(kind),
  );

/** A lost process is noticed within half a second, a device that hangs within two seconds. */
function owedUsMin(gentle: boolean, incidents: ReadonlyMap<Incident, number>): number {
  if (!gentle) return Infinity;
  return incidents.has("hang") ? 3_000 * MS : 1_000 * MS;
}

const takesWorkers = (incidents: ReadonlyMap<Incident, number>): boolean =>
  TAKES_WORKERS.some((kind) => incidents.has(kind));

function drawIncidents(random: Random, gentle: boolean): Map<Incident, number> {
  const incidents = new Map<Incident, number>();
  for (const kind of INCIDENTS) {
    const meanUs = within(random, 200 * MS, (gentle ? 1_500 : 3_000) * MS);
    const left = random.chance(0.5);
    if (left || (gentle && !NOTICED.includes(kind))) continue;
    // Of what takes workers away one kind at a time: with several none might be left for a while.
    if (gentle && TAKES_WORKERS.includes(kind) && takesWorkers(incidents)) continue;
    incidents.set(kind, meanUs);
  }
  return incidents;
}

function drawModels(random: Random): ModelPlan[] {
  const count = random.chance(0.1) ? within(random, 9, 20) : within(random, 1, 8);
  return Array.from({ length: count }, (_, at): ModelPlan => {
    const fileBytes = within(random, 1, 64) * MIB;
    const single = random.chance(0.15);
    const slow = random.chance(0.2);
    return {
      name: `model-${at + 1}`,
      fileBytes,
      loadedBytes: Math.floor(fileBytes * (1 + random.next() * 0.2)),
      maxBatch: single ? 0 : within(random, 1, 64),
      lengthMax: random.chance(0.3) ? 64 : 0,
      runUs: slow ? within(random, 5 * MS, 60 * MS) : within(random, 100, 5 * MS),
      rowUs: within(random, 10, slow ? 5 * MS : 500),
      loadUs: within(random, 5 * MS, 150 * MS),
      share: 0.1 + random.next() ** 3,
      remote: random.chance(0.3) ? random.next() : 0,
    };
  });
}

/**
 * Every model fits on one device at least, all of them together need not fit anywhere. In a gentle
 * run two devices have room for all, and the others may have room for none.
 */
function drawWorkers(random: Random, models: readonly ModelPlan[], gentle: boolean): WorkerPlan[] {
  const largest = Math.max(...models.map((model) => Math.ceil(model.fileBytes * 1.3)));
  const all = roomFor(models);
  const least = Math.max(largest, Math.ceil(all / 5));
  const memory = (made: number): number => {
    if (gentle) return made < 2 ? all : 1 + Math.floor(random.next() * all);
    return random.chance(0.4) ? all : least + Math.floor(random.next() * (all - least));
  };
  const accelerators = within(random, gentle ? 2 : 1, 3);
  const cpus = random.below(3);
  const plans: WorkerPlan[] = [];
  for (const id of names("gpu-worker", accelerators)) {
    const slowness = 1 + random.next();
    const kind = random.chance(0.5) ? "cuda" : "emulated";
    plans.push({
      id,
      role: "gpu-worker",
      class: kind,
      memoryBytes: memory(plans.length),
      slowness,
    });
  }
  for (const id of names("cpu-worker", cpus)) {
    const slowness = 2 + 4 * random.next();
    plans.push({ id, role: "cpu-worker", class: "cpu", memoryBytes: memory(2), slowness });
  }
  return plans;
}

const roomFor = (models: readonly ModelPlan[]): number =>
  models.reduce((sum, model) => sum + Math.ceil(model.fileBytes * 1.3), 0);

const names = (role: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `${role}-${at + 1}`);

/** A whole number from `least` to `most`, both included. */
export const within = (random: Random, least: number, most: number): number =>
  least + random.below(most - least + 1);
