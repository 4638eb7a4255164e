/** The monkey mode: draws faults until it is stopped, one at a time, when all is well. */

import { setTimeout as sleep } from "node:timers/promises";
import { closedReason, type TimeWindow } from "@millrace/drills";
import { type FaultWorld, unixUs } from "@millrace/faults";
import { type Blast, type Drawing, FAULT_KINDS, type FaultKind } from "@millrace/protocol";
import { seededRandom } from "@millrace/std";
import type { Desk } from "./desk.ts";
import { drawFault, waitUsOf } from "./drawing.ts";
import type { Journal } from "./journal.ts";
import type { Pulse } from "./pulse.ts";

export interface MonkeyOptions {
  readonly desk: Desk;
  readonly world: FaultWorld;
  readonly pulse: Pulse;
  readonly journal: Journal;
  readonly window: TimeWindow;
  readonly drawing: Drawing;
  readonly blast: Blast;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Resolves when it was ended. */
export async function runMonkey(options: MonkeyOptions): Promise<void> {
  const { journal, drawing, signal } = options;
  const { seed, meanUs } = drawing;
  const random = seededRandom(seed);
  journal.write({ event: "began", detail: `seed ${seed}, a fault every ${meanUs / 1e6} s` });
  try {
    for (;;) {
      await sleep(waitUsOf(drawing, random) / 1000, undefined, { signal });
      const why = await veto(options);
      if (why !== undefined) {
        journal.write({ event: "vetoed", detail: why });
        continue;
      }
      await hit(options, random);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  journal.write({ event: "stopped", detail: "" });
}

async function veto({ window, pulse, world }: MonkeyOptions): Promise<string | undefined> {
  return closedReason(window, unixUs()) ?? pulse.illness(await world.members());
}

async function hit(
  { desk, world, drawing, blast, journal }: MonkeyOptions,
  random: ReturnType<typeof seededRandom>,
): Promise<void> {
  const members = await world.members();
  const missing = new Set<FaultKind>();
  for (const kind of FAULT_KINDS) if ((await world.missing(kind)) !== undefined) missing.add(kind);
  const running = desk.running;
  const spec = drawFault({ random, drawing, members, running, blast, missing });
  if (spec === undefined) {
    return journal.write({ event: "vetoed", detail: "nobody may be hit by any of the kinds" });
  }
  const injected = await desk.inject(spec, blast, random.below(2 ** 31));
  if (injected.ok) await injected.value.ended;
}
