/** Judges what was seen and writes the journal. */

import { writeFile } from "node:fs/promises";
import { cpus, hostname, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import {
  type ActivityRun,
  type Evidence,
  type Journal,
  JOURNAL_VERSION,
  type JournalStatus,
  type MemberMemory,
  judge,
  type Sample,
  seriesOf,
  sheddingSpans,
  type SteadyState,
} from "@millrace/drills";
import { formatBytes } from "@millrace/std";
import type { DrillOrder } from "./messages.ts";
import type { Prepared } from "./prepare.ts";

export interface Conclusion {
  readonly order: DrillOrder;
  readonly prepared: Prepared;
  readonly start: Date;
  readonly status: JournalStatus;
  /** Why it ended early; empty where it did not. */
  readonly aborted: string;
  readonly before: SteadyState | null;
  readonly after: SteadyState | null;
  readonly runs: readonly ActivityRun[];
  readonly rollbacks: readonly ActivityRun[];
  readonly evidence: Evidence;
  readonly samples: readonly Sample[];
  readonly memory: readonly MemberMemory[];
}

export async function writeJournal(conclusion: Conclusion): Promise<Journal> {
  const { order, prepared, start, status, before, after, evidence, samples } = conclusion;
  const end = new Date();
  const judgement = judge(order.drill, evidence);
  const shedding = sheddingSpans(order.drill, evidence.faults);
  const journal: Journal = {
    // Of the format: the fields are those of this version's journal.
    "chaoslib-version": "1.41.0",
    platform: `${platform()} ${release()}`,
    node: hostname(),
    experiment: order.experiment,
    start: start.toISOString(),
    end: end.toISOString(),
    duration: (end.getTime() - start.getTime()) / 1000,
    status,
    deviated: evidence.deviations.length > 0,
    steady_states: { before, after, during: [] },
    run: conclusion.runs,
    rollbacks: conclusion.rollbacks,
    millrace: {
      version: JOURNAL_VERSION,
      drill: order.drill,
      seed: order.seed,
      durationUs: prepared.plan.durationUs,
      aborted: conclusion.aborted,
      command: order.command,
      versions: order.versions,
      machine: {
        processors: `${cpus().length} x ${cpus()[0]?.model ?? "unknown"}`,
        memory: formatBytes(totalmem()),
        system: `${platform()} ${release()}`,
      },
      members: prepared.members,
      sendLagUs: sendLagOf(evidence),
      memory: conclusion.memory,
      // A drill that did not come to its end has proved nothing.
      judgement: { ...judgement, passed: judgement.passed && status === "completed" },
      series: seriesOf(evidence.requests, evidence.jobs, samples, evidence.endedUs, shedding),
    },
  };
  await writeFile(join(order.directory, "journal.json"), `${JSON.stringify(journal)}\n`);
  return journal;
}

function sendLagOf({ requests }: Evidence): number {
  const lags = requests.map(({ sentUs, intendedUs }) => sentUs - intendedUs).sort((a, b) => a - b);
  return lags[Math.ceil(lags.length * 0.99) - 1] ?? 0;
}
