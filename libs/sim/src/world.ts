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
 * hedge           the ingress never asks a second device for a straggler
 * ownSequence     an ingress counts its requests from one again after a restart
 * oneSettle       the ingress answers again when a second answer comes
 * ownOutput       the worker gives the outputs of a batch to one another's items
 * latestStart     the worker does not know until when a batch may begin
 * slices          batches are not cut to their tier's slice
 * tierOrder       the worker takes every batch for one of the same tier
 * memoryGuard     the worker loads what it has no room for
 * freeMemory      the scheduler takes all of a device's memory for free
 * batchLimit      scheduler and worker believe in a larger batch limit than the model has
 * reconciliation  the scheduler does not ask what became of the batches that it sent
 * suspicion       silence makes nobody suspect
 * wedgeWatch      a device that finishes nothing is given work all the same
 * queueLimit      queues and tables have no bound
 */
export const DEFENCES = [
  "retry",
  "hedge",
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
  observe(fact: Fact): void;
  trace(process: string, what: string, detail: unknown): void;
  without(defence: Defence): boolean;
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
