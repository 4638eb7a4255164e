/** What every part of one simulation shares. */

import type { Fact } from "@millrace/invariants";
import type { ModelRecord } from "@millrace/protocol";
import type { Random } from "@millrace/std";
import type { Network } from "./network.ts";
import type { Scenario } from "./scenario.ts";
import type { Timeline } from "./timeline.ts";

/**
 * The defences that a run can do without, to show that the checkers miss them:
 * retry           the ingress tries once
 * budget          retries and hedges are not counted against a budget
 * quarantine      an input that ends workers is given to one after another
 * commonCause     an input is blamed for workers though all end at the same moment
 * hedge           the ingress never asks a second device for a straggler
 * isolation       what may have cost a worker is batched with others again
 * ownSequence     an ingress counts its requests from one again after a restart
 * oneSettle       the ingress answers again when a second answer comes
 * ownOutput       the worker gives the outputs of a batch to one another's items
 * latestStart     no fencing: the worker does not know until when a batch may begin
 * slices          batches are not cut to their tier's slice
 * tierOrder       the worker takes every batch for one of the same tier
 * memoryGuard     the worker loads what it has no room for
 * freeMemory      the scheduler takes all of a device's memory for free
 * batchLimit      scheduler and worker believe in a larger batch limit than the model has
 * reconciliation  the scheduler does not ask what became of the batches that it sent
 * suspicion       silence makes nobody suspect
 * wedgeWatch      a device that finishes nothing is given work all the same
 * queueLimit      queues and tables have no bound
 * failover        workers do not say which of their models fail
 * bisecting       a batch that fails is not split
 * drain           a process that is asked to end ends at once
 * digestCheck     a file from the worker's cache is loaded as it is
 * firstWrite      a result that is written again is another result
 * ackLast         the queue forgets a chunk when it is taken, and not when its results stand
 * residentDigest  workers do not say from which bytes their models are
 * promptDone      schedulers hear of the ends of batches a second late
 * urgentBatches   schedulers take every request for one of the same tier
 */
export const DEFENCES = [
  "retry",
  "budget",
  "quarantine",
  "commonCause",
  "hedge",
  "isolation",
  "ownSequence",
  "oneSettle",
  "ownOutput",
  "latestStart",
  "slices",
  "tierOrder",
  "memoryGuard",
  "freeMemory",
  "batchLimit",
  "reconciliation",
  "suspicion",
  "wedgeWatch",
  "queueLimit",
  "failover",
  "bisecting",
  "drain",
  "digestCheck",
  "residentDigest",
  "promptDone",
  "urgentBatches",
  "firstWrite",
  "ackLast",
] as const;
export type Defence = (typeof DEFENCES)[number];

export interface World {
  readonly scenario: Scenario;
  readonly timeline: Timeline;
  readonly network: Network;
  /** For what the processes draw themselves. */
  readonly random: Random;
  readonly registry: Registry;
  /** Requests whose inputs no model can run on, by id. */
  readonly poisoned: Set<number>;
  /** Requests whose inputs end the worker that runs them, by id. */
  readonly killers: Set<number>;
  observe(fact: Fact): void;
  trace(process: string, what: string, detail: unknown): void;
  without(defence: Defence): boolean;
  /** The worker ended by the input of this request. */
  killedBy(request: number, worker: string): void;
  /** True until everything is healed. */
  faulty(): boolean;
  /** A process has ended; whoever supervises it starts it again. */
  ended(node: Node): void;
}

/** The registry of models, as everyone comes to know it. */
export interface Registry {
  readonly records: ReadonlyMap<string, ModelRecord>;
  record(name: string): ModelRecord;
}

/** Something with lives: it starts, ends, stands still, and is asked to end. */
export interface Node {
  readonly id: string;
  readonly up: boolean;
  start(): void;
  crash(noticed: boolean): void;
  pause(): void;
  resume(): void;
}
