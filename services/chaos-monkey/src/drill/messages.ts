/**
 * What a drill's process is told by the command that starts it, and what it tells while it runs.
 * The command has checked the file; the process plans again, from the members that are there.
 */

import type { Drill, JournalStatus } from "@millrace/drills";

export interface DrillOrder {
  readonly drill: Drill;
  /** The file as it was written, for the journal. */
  readonly experiment: unknown;
  readonly seed: number;
  readonly durationUs: number;
  /** The command that does the same again. */
  readonly command: string;
  readonly servers: readonly string[];
  /** Of the NATS user `admin`. */
  readonly seedFile: string;
  readonly urls: readonly string[];
  /** One for each tenant. */
  readonly keys: readonly string[];
  readonly versions: Readonly<Record<string, string>>;
  /** Where `ledger.jsonl` and `journal.json` are written; it exists. */
  readonly directory: string;
}

export type DrillCommand =
  | { readonly op: "run"; readonly order: DrillOrder }
  /** Ends the drill as Ctrl-C does: heals, and writes the journal. */
  | { readonly op: "interrupt" };

/** Once a second, for the terminal. */
export interface DrillState {
  readonly stage: "preparing" | "warming up" | "running" | "calming down" | "judging";
  readonly atUs: number;
  readonly ended: number;
  readonly failed: number;
  readonly open: number;
  readonly jobsEnded: number;
  readonly p99Ms: number | undefined;
  readonly healthyWorkers: number;
  readonly faults: readonly string[];
}

export type DrillReport =
  | { readonly type: "state"; readonly state: DrillState }
  /** A line for people. */
  | { readonly type: "said"; readonly line: string }
  | { readonly type: "done"; readonly status: JournalStatus; readonly journalFile: string }
  | { readonly type: "failed"; readonly problem: string; readonly remedy: string };
