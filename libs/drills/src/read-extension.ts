/** The extension `millrace` of a drill's file: load, guards, bounds, objectives and cluster. */

import type { InvariantId } from "@millrace/invariants";
import {
  type Blast,
  BLAST_DEFAULT,
  DEADLINE_US_MAX,
  FAULT_KINDS,
  FAULT_TARGETS_MAX,
  PRIORITIES,
} from "@millrace/protocol";
import { isName } from "@millrace/std";
import type {
  AddedLatencyObjective,
  ClusterWish,
  Drill,
  Guard,
  JobLoad,
  Load,
  Objectives,
  OverloadObjective,
  RetryBudgetObjective,
  Share,
} from "./drill.ts";
import { METRICS, UNBOUNDED } from "./drill.ts";
import { readWindow } from "./time-window.ts";
import type { Reader } from "./reading.ts";

export const EXTENSION = "millrace";

/** What a drill can judge from outside: the others are the simulator's. */
export const JUDGED: readonly InvariantId[] = ["I1", "I2", "I5", "I7"];

const SECOND_US = 1_000_000;
const LOAD_US_MAX = 24 * 3600 * SECOND_US;
const MIX_MAX = 16;
const GUARDS_MAX = 16;
const TENANTS_MAX = 32;
const JOBS_MAX = 1_000_000;
const JOB_ITEMS_MAX = 64;
const RATE_MAX = 50_000;
const WORKERS_MAX = 64;

type Extension = Omit<
  Drill,
  "title" | "description" | "tags" | "hypothesis" | "method" | "rollbacks"
>;

/** Undefined, with a problem noted, where it is missing. */
export function readExtension(reader: Reader): Extension | undefined {
  const all = reader.items(8);
  const own = all.find(({ value }) => (value as { name?: unknown } | null)?.name === EXTENSION);
  if (own === undefined) {
    reader.wrong(`expected an entry with the name ${EXTENSION}`);
    return undefined;
  }
  const fields = own.fields(
    "name",
    "seed",
    "load",
    "guards",
    "blast",
    "window",
    "invariants",
    "objectives",
    "cluster",
  );
  const invariants = fields.invariants.items(JUDGED.length).map((one) => one.choice(JUDGED));
  return {
    seed: fields.seed.whole(0, 2 ** 32 - 1, 1),
    load: readLoad(fields.load),
    guards: fields.guards.items(GUARDS_MAX).map(readGuard),
    blast: readBlast(fields.blast),
    window: fields.window.absent ? undefined : readWindow(fields.window),
    invariants: fields.invariants.absent ? JUDGED : invariants,
    objectives: readObjectives(fields.objectives),
    cluster: readCluster(fields.cluster),
  };
}

function readLoad(reader: Reader): Load {
  const fields = reader.fields(
    "requests-per-second",
    "duration",
    "warm-up",
    "mix",
    "tenants",
    "poison",
    "jobs",
  );
  const durationUs = fields.duration.span(SECOND_US, LOAD_US_MAX);
  const mix = fields.mix.items(MIX_MAX).map(readShare);
  if (mix.length === 0) fields.mix.wrong("expected one model or more");
  return {
    requestsPerSecond: fields["requests-per-second"].number(1, RATE_MAX),
    durationUs,
    warmUpUs: fields["warm-up"].span(SECOND_US, LOAD_US_MAX, 3 * SECOND_US),
    mix,
    tenants: fields.tenants.whole(1, TENANTS_MAX, 1),
    poison: fields.poison.number(0, 0.5, 0),
    jobs: fields.jobs.absent ? undefined : readJobs(fields.jobs),
  };
}

function readShare(reader: Reader): Share {
  const fields = reader.fields("model", "share", "priority", "deadline");
  return {
    model: readModel(fields.model),
    share: fields.share.number(0.001, 1_000, 1),
    priority: fields.priority.choice(PRIORITIES, "realtime"),
    deadlineUs: fields.deadline.span(1_000, DEADLINE_US_MAX, 2 * SECOND_US),
  };
}

function readModel(reader: Reader): string {
  const model = reader.text();
  if (model !== "" && !isName(model)) reader.wrong(`${model}: not a model's name`);
  return model;
}

function readJobs(reader: Reader): JobLoad {
  const fields = reader.fields("model", "count", "items", "end-within");
  return {
    model: readModel(fields.model),
    count: fields.count.whole(1, JOBS_MAX),
    items: fields.items.whole(1, JOB_ITEMS_MAX, 1),
    endWithinUs: fields["end-within"].span(SECOND_US, LOAD_US_MAX, 60 * SECOND_US),
  };
}

function readGuard(reader: Reader): Guard {
  const fields = reader.fields("metric", "window", "min", "max");
  if (fields.min.absent && fields.max.absent) reader.wrong("expected min, max or both");
  return {
    metric: fields.metric.choice(METRICS),
    windowUs: fields.window.span(SECOND_US, 600 * SECOND_US, 10 * SECOND_US),
    bounds: {
      min: fields.min.number(-UNBOUNDED, UNBOUNDED, -UNBOUNDED),
      max: fields.max.number(-UNBOUNDED, UNBOUNDED, UNBOUNDED),
    },
  };
}

function readBlast(reader: Reader): Blast {
  if (reader.absent) return BLAST_DEFAULT;
  const fields = reader.fields("max-targets", "max-fraction", "min-healthy");
  return {
    targetsMax: fields["max-targets"].whole(1, FAULT_TARGETS_MAX, BLAST_DEFAULT.targetsMax),
    fractionMax: fields["max-fraction"].number(0, 1, BLAST_DEFAULT.fractionMax),
    healthyMin: fields["min-healthy"].whole(0, FAULT_TARGETS_MAX, BLAST_DEFAULT.healthyMin),
  };
}

function readObjectives(reader: Reader): Objectives {
  if (reader.absent) {
    return {
      availability: 99.99,
      recoveredWithinUs: 10 * SECOND_US,
      overload: undefined,
      addedLatency: undefined,
      retryBudget: undefined,
    };
  }
  const fields = reader.fields(
    "availability",
    "recovered-within",
    "overload",
    "added-latency",
    "retry-budget",
  );
  const { "added-latency": added, "retry-budget": budget } = fields;
  return {
    availability: fields.availability.number(0, 100, 99.99),
    recoveredWithinUs: fields["recovered-within"].span(0, 600 * SECOND_US, 10 * SECOND_US),
    overload: fields.overload.absent ? undefined : readOverload(fields.overload),
    addedLatency: added.absent ? undefined : readAddedLatency(added),
    retryBudget: budget.absent ? undefined : readRetryBudget(budget),
  };
}

function readRetryBudget(reader: Reader): RetryBudgetObjective {
  const fields = reader.fields("share", "per-second", "burst");
  return {
    share: fields.share.number(0, 64, 0.1),
    perSecond: fields["per-second"].number(0, RATE_MAX, 10),
    burst: fields.burst.number(0, RATE_MAX, 1_000),
  };
}

function readAddedLatency(reader: Reader): AddedLatencyObjective {
  const fields = reader.fields("fault", "window", "p99");
  return {
    fault: fields.fault.choice(FAULT_KINDS),
    windowUs: fields.window.span(100_000, 60 * SECOND_US, 2 * SECOND_US),
    p99UsMax: fields.p99.span(1_000, 60 * SECOND_US, 50_000),
  };
}

function readOverload(reader: Reader): OverloadObjective {
  const fields = reader.fields("capacity", "goodput", "tickets");
  return {
    capacity: fields.capacity.number(1, RATE_MAX),
    goodputPercent: fields.goodput.number(0, 100, 95),
    ticketsMax: fields.tickets.number(1, 64, 1.2),
  };
}

const CLUSTER_DEFAULT: ClusterWish = {
  ingresses: 1,
  gpuWorkers: 2,
  cpuWorkers: 1,
  schedulers: 2,
  settings: {},
};

function readCluster(reader: Reader): ClusterWish {
  if (reader.absent) return CLUSTER_DEFAULT;
  const fields = reader.fields("ingresses", "gpu-workers", "cpu-workers", "schedulers", "settings");
  return {
    ingresses: fields.ingresses.whole(1, WORKERS_MAX, 1),
    gpuWorkers: fields["gpu-workers"].whole(0, WORKERS_MAX, 2),
    cpuWorkers: fields["cpu-workers"].whole(0, WORKERS_MAX, 1),
    schedulers: fields.schedulers.whole(1, WORKERS_MAX, 2),
    settings: readSettings(fields.settings),
  };
}

/** Variables of the members' configuration. Whether there is one of this name, each member says. */
function readSettings(reader: Reader): Readonly<Record<string, string>> {
  if (reader.absent) return {};
  const { value } = reader;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    reader.wrong("expected a mapping of MILLRACE_ variables to values");
    return {};
  }
  const settings: Record<string, string> = {};
  for (const [key, given] of Object.entries(value)) {
    if (!/^MILLRACE_[A-Z0-9_]+$/.test(key)) reader.wrong(`${key}: expected MILLRACE_...`);
    settings[key] = String(given);
  }
  return settings;
}
