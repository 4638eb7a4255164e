/**
 * The journal of a drill: the fields of Chaos Toolkit's journal, and under `millrace` everything
 * that the report is made from.
 */

import type { AddedLatency } from "./added-latency.ts";
import type { Drill } from "./drill.ts";
import type { Judgement } from "./judge.ts";
import type { OverloadFigures } from "./overload.ts";
import type { RetryBudgetFigures } from "./retry-budget.ts";
import type { DrillSeries } from "./series.ts";

/** As in Chaos Toolkit: `failed` is a drill that could not be carried out. */
export type JournalStatus = "completed" | "failed" | "aborted" | "interrupted";

export interface ProbeRun {
  readonly name: string;
  readonly value: number | null;
  readonly tolerance_met: boolean;
}

export interface SteadyState {
  readonly steady_state_met: boolean;
  readonly probes: readonly ProbeRun[];
}

export interface ActivityRun {
  readonly activity: { readonly type: "action" | "probe"; readonly name: string };
  readonly status: "succeeded" | "failed";
  /** ISO 8601. */
  readonly start: string;
  readonly end: string;
  /** Seconds. */
  readonly duration: number;
  /** What a probe read, or what a fault hit; on failure the reason. */
  readonly output: unknown;
}

export interface Journal {
  readonly "chaoslib-version": string;
  readonly platform: string;
  readonly node: string;
  readonly experiment: unknown;
  readonly start: string;
  readonly end: string;
  readonly duration: number;
  readonly status: JournalStatus;
  readonly deviated: boolean;
  readonly steady_states: {
    readonly before: SteadyState | null;
    readonly after: SteadyState | null;
    readonly during: readonly SteadyState[];
  };
  readonly run: readonly ActivityRun[];
  readonly rollbacks: readonly ActivityRun[];
  readonly millrace: MillraceJournal;
}

/** Resident memory of a member while the load ran: of the process that was there at its end. */
export interface MemberMemory {
  readonly id: string;
  /** Since the start of the load: 0, or when this process was first seen after a restart. */
  readonly fromUs: number;
  readonly toUs: number;
  readonly firstBytes: number;
  readonly lastBytes: number;
  readonly mostBytes: number;
}

/** Raised when what is in it changes: the command reads no other. */
export const JOURNAL_VERSION = 2;

export interface MillraceJournal {
  readonly version: typeof JOURNAL_VERSION;
  readonly drill: Drill;
  readonly seed: number;
  /** Of the load, as it was run. */
  readonly durationUs: number;
  /** Why it ended before its time; empty where it did not. */
  readonly aborted: string;
  readonly command: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Processors, memory, system: where the figures were measured. */
  readonly machine: Readonly<Record<string, string>>;
  readonly members: readonly { readonly id: string; readonly role: string }[];
  /** How far behind its own schedule the load was sent: 99 in 100 were sooner. */
  readonly sendLagUs: number;
  /** Of members on the monkey's machine. */
  readonly memory: readonly MemberMemory[];
  readonly judgement: Judgement;
  readonly series: DrillSeries;
}

/** What `--json FILE` holds. */
export interface DrillResult {
  readonly requests: number;
  readonly failed: number;
  /** Per cent. */
  readonly availability: number;
  readonly jobs: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly stuck: number;
  readonly faults: readonly {
    readonly kind: string;
    readonly targets: readonly string[];
    /** Of the targets, those that had nothing to do. */
    readonly idle: readonly string[];
    /** How often it acted; null where that is not counted. */
    readonly acted: number | null;
    /** Seconds since the start of the load. */
    readonly injected: number;
    readonly detectedAfter: number | null;
    readonly recoveredAfter: number | null;
    readonly touched: number;
    readonly failed: number;
  }[];
  readonly invariants: Readonly<Record<string, "held" | "broken">>;
  /** MiB, at the start and at the end of what was seen of a member's last process; seconds. */
  readonly memory: readonly {
    readonly id: string;
    readonly first: number;
    readonly last: number;
    readonly most: number;
    readonly seconds: number;
  }[];
  /** Null but in a drill that asks for more than there is. */
  readonly overload: OverloadFigures | null;
  readonly ticketsPerRequest: number | null;
  /** Null but in a drill that bounds what a kind of fault adds to latency. */
  readonly addedLatency: AddedLatency | null;
  /** Null but in a drill that uses the budget up. */
  readonly retryBudget: RetryBudgetFigures | null;
}

export function resultOf({ millrace: { judgement, memory } }: Journal): DrillResult {
  const { requests, failed, availability, jobs, lost, duplicated, stuck, faults, rows } = judgement;
  return {
    requests,
    failed,
    availability: availability.percent,
    jobs,
    lost,
    duplicated,
    stuck,
    faults: faults.map((fault) => ({
      kind: fault.kind,
      targets: fault.targets,
      idle: fault.idle,
      acted: fault.acted ?? null,
      injected: fault.injectedUs / 1e6,
      detectedAfter: seconds(fault.detectedUs, fault.injectedUs),
      recoveredAfter: seconds(fault.recoveredAfterUs, 0),
      touched: fault.touched,
      failed: fault.failed,
    })),
    invariants: Object.fromEntries(rows.map(({ id, held }) => [id, held ? "held" : "broken"])),
    memory: memory.map(({ id, fromUs, toUs, firstBytes, lastBytes, mostBytes }) => ({
      id,
      first: mebibytes(firstBytes),
      last: mebibytes(lastBytes),
      most: mebibytes(mostBytes),
      seconds: Math.round((toUs - fromUs) / 1e6),
    })),
    overload: judgement.overload ?? null,
    ticketsPerRequest: judgement.ticketsPerRequest ?? null,
    addedLatency: judgement.addedLatency ?? null,
    retryBudget: judgement.retryBudget ?? null,
  };
}

const seconds = (us: number | undefined, fromUs: number): number | null =>
  us === undefined ? null : Math.round((us - fromUs) / 1000) / 1000;

const mebibytes = (bytes: number): number => Math.round((bytes / 2 ** 20) * 10) / 10;
