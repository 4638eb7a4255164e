/**
 * Replays a load under several policies and puts them side by side against the static peak fleet.
 */

import type { PriceBook } from "@millrace/costing";
import type { Series } from "@millrace/load-facts";
import { MICROS } from "@millrace/costing";
import { type Policy, POLICIES } from "./policies.ts";
import { type PolicyRun, runPolicy } from "./run-policy.ts";
import type { SpotTrace } from "./spot-market.ts";
import { makeWorld, type ReplaySettings, type World } from "./world.ts";

export interface ReplayRow {
  readonly policy: string;
  /** Dollars over the window. */
  readonly cost: number;
  /** Of the static peak fleet's cost. */
  readonly costRatio: number;
  readonly failedShare: number;
  readonly slowShare: number;
  readonly utilisation: number;
}

export interface Replay {
  readonly world: World;
  readonly rows: readonly ReplayRow[];
  readonly runs: readonly PolicyRun[];
}

export interface ReplayRequest {
  readonly trace: Series;
  readonly prices: PriceBook;
  readonly spotTrace?: SpotTrace;
  readonly settings: ReplaySettings;
  readonly policies?: readonly Policy[];
}

export function replay({ trace, prices, spotTrace, settings, policies }: ReplayRequest): Replay {
  const world = makeWorld(trace, prices, spotTrace, settings);
  const runs = (policies ?? POLICIES).map((policy) => runPolicy(world, policy));
  const baseline = baselineOf(world, runs);
  return { world, runs, rows: runs.map((run) => rowOf(run, baseline)) };
}

/** The static peak fleet's cost, run for it if it is not among the policies. */
function baselineOf(world: World, runs: readonly PolicyRun[]): number {
  const peak = POLICIES[0] as Policy;
  return (runs.find((run) => run.policy === peak) ?? runPolicy(world, peak)).micros;
}

function rowOf(run: PolicyRun, baseline: number): ReplayRow {
  const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  return {
    policy: run.policy.name,
    cost: run.micros / MICROS,
    costRatio: share(run.micros, baseline),
    failedShare: share(run.failed, run.requests),
    slowShare: share(run.slow, run.urgent),
    utilisation: run.utilisation,
  };
}
