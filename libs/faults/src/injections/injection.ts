/** How a fault is made, before it is: what undoes it is known first. */

import type { Bus } from "@millrace/bus";
import type { FaultSpec } from "@millrace/protocol";
import type { Ground, GroundMember } from "../ground.ts";
import type { BrokerAccess, HealAction, Throttle } from "../healer/actions.ts";
import type { ProcessMark } from "../processes.ts";

export interface Injection {
  /** In this order; harmless where nothing was begun, and when done twice. */
  readonly undo: readonly HealAction[];
  /** @throws Error where it cannot be done; it is undone then. */
  readonly begin: () => Promise<void>;
  /** The healer does it from the begin to the end. */
  readonly throttle?: Throttle;
  /** Again and again while it lasts. */
  readonly repeat?: { readonly everyMs: number; readonly act: () => void };
  /** When its time is over, not when it is healed before. */
  readonly atEnd?: () => void;
  /** How often it acted since its begin, where it acts on what passes and that is counted. */
  readonly acted?: () => Promise<number>;
  /** When none of these is alive any more, the fault is over. */
  readonly watched?: readonly ProcessMark[];
}

export interface InjectionContext {
  /** Of the fault. */
  readonly id: string;
  readonly spec: FaultSpec;
  readonly targets: readonly GroundMember[];
  readonly ground: Ground;
  readonly groundFile: string;
  readonly bus: Bus;
  readonly access: BrokerAccess;
  readonly seed: number;
}

/** Options are complete: `checkFaultSpec` filled them. */
export const numberOf = (spec: FaultSpec, name: string): number => Number(spec.options[name]);
export const textOf = (spec: FaultSpec, name: string): string => String(spec.options[name]);
