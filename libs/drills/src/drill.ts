/** A drill, read and checked: what is asked of the cluster, what is done to it, what must hold. */

import type { InvariantId } from "@millrace/invariants";
import type { Blast, FaultKind, FaultSpec, Priority } from "@millrace/protocol";

/** What a drill looks at, over its own requests and over what the members say. */
export const METRICS = [
  /** Per cent of the requests that ended in the window. */
  "availability",
  /** Milliseconds from the intended time of sending, in the window. */
  "p99-ms",
  /** Heard within the time after which the cluster itself suspects a member. */
  "healthy-workers",
  "healthy-schedulers",
  /** Rows waiting at the schedulers. */
  "queued-rows",
  /** Requests of the drill without an answer yet. */
  "open-requests",
] as const;
export type Metric = (typeof METRICS)[number];

/** As good as no bound; finite, because a drill and its journal are JSON. */
export const UNBOUNDED = 1e15;

/** Inclusive. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

export interface Probe {
  readonly type: "probe";
  readonly name: string;
  readonly metric: Metric;
  readonly windowUs: number;
  readonly tolerance: Bounds;
}

/** A fault that the drill's own load makes. */
export type LoadFault =
  | { readonly kind: "thundering-herd"; readonly durationUs: number; readonly factor: number }
  | { readonly kind: "poison-input"; readonly durationUs: number; readonly share: number };

export type Act =
  | { readonly act: "inject"; readonly fault: FaultSpec }
  | { readonly act: "load"; readonly fault: LoadFault }
  /** Ends every fault. */
  | { readonly act: "abort" };

export interface Action {
  readonly type: "action";
  readonly name: string;
  readonly what: Act;
  /** The method goes on while the fault lasts. */
  readonly background: boolean;
  readonly pauseBeforeUs: number;
  readonly pauseAfterUs: number;
}

export interface Share {
  readonly model: string;
  /** Relative to the other shares. */
  readonly share: number;
  readonly priority: Priority;
  readonly deadlineUs: number;
}

export interface JobLoad {
  readonly model: string;
  readonly count: number;
  /** Inputs of one job. */
  readonly items: number;
  /** A job that has not ended so long after the load is stuck. */
  readonly endWithinUs: number;
}

export interface Load {
  readonly requestsPerSecond: number;
  /** Of the load, the warm-up before the method included. */
  readonly durationUs: number;
  readonly warmUpUs: number;
  readonly mix: readonly Share[];
  readonly tenants: number;
  /** Of the requests that no model can run, from the start to the end. */
  readonly poison: number;
  readonly jobs: JobLoad | undefined;
}

export interface Guard {
  readonly metric: Metric;
  readonly windowUs: number;
  readonly bounds: Bounds;
}

/** When a drill may run: days of the week and hours of the day in a time zone. */
export interface TimeWindow {
  /** 0 is Sunday. */
  readonly days: readonly number[];
  /** Minutes since midnight. */
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly timeZone: string;
}

/** What `--up` starts for the drill, and with which settings. */
export interface ClusterWish {
  readonly ingresses: number;
  readonly gpuWorkers: number;
  readonly cpuWorkers: number;
  readonly schedulers: number;
  /** Configuration of the members, by variable: a defence that is weakened on purpose. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface Objectives {
  /** Per cent of the accepted requests. */
  readonly availability: number;
  /** From the end of a fault to the last request that it harmed, and to the target's return. */
  readonly recoveredWithinUs: number;
  /** What must hold while a thundering herd asks for more than there is. */
  readonly overload: OverloadObjective | undefined;
  /** What faults of a kind may add to latency. */
  readonly addedLatency: AddedLatencyObjective | undefined;
  /** What must hold where attempts fail that could be made again. */
  readonly retryBudget: RetryBudgetObjective | undefined;
}

/** Tickets that each ingress may send beyond the first of every request. */
export interface RetryBudgetObjective {
  /** For each request. */
  readonly share: number;
  readonly perSecond: number;
  /** At once: what was saved up. */
  readonly burst: number;
}

export interface AddedLatencyObjective {
  readonly fault: FaultKind;
  /** From the injection: what is asked in this time may be slower for it. */
  readonly windowUs: number;
  /** At p99, over the time that no fault disturbs. */
  readonly p99UsMax: number;
}

export interface OverloadObjective {
  /** Requests a second that the devices can do, whatever is asked. */
  readonly capacity: number;
  /** Right answers in time, in per cent of the capacity. */
  readonly goodputPercent: number;
  /** Tickets that the ingresses send for each request, at most. */
  readonly ticketsMax: number;
}

export interface Drill {
  readonly title: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly hypothesis: { readonly title: string; readonly probes: readonly Probe[] } | undefined;
  readonly method: readonly (Action | Probe)[];
  readonly rollbacks: readonly Action[];
  readonly seed: number;
  readonly load: Load;
  readonly guards: readonly Guard[];
  readonly blast: Blast;
  readonly window: TimeWindow | undefined;
  readonly invariants: readonly InvariantId[];
  readonly objectives: Objectives;
  readonly cluster: ClusterWish;
}

/** The kind of what an action does to the cluster; undefined for one that ends faults. */
export function kindOf({ what }: Action): FaultKind | undefined {
  return what.act === "abort" ? undefined : what.fault.kind;
}
