/** A fault from its begin to its end, as those who ordered it see it. */

import type { FaultEnd, FaultSpec } from "@millrace/protocol";
import type { Healed, Healer } from "./healer/healer.ts";
import type { ActiveFault } from "./types.ts";

export interface Followed {
  readonly id: string;
  readonly spec: FaultSpec;
  readonly targets: readonly string[];
  readonly injectedAtUs: number;
  readonly healed: Promise<Healed>;
  readonly healer: Healer;
  /** Again and again while it lasts. */
  readonly repeat?: { readonly everyMs: number; readonly act: () => void };
  readonly acted?: () => Promise<number>;
  /** True once nobody is left whom it hits. */
  readonly isGone?: () => boolean;
  readonly onEnd?: (how: Healed, end: FaultEnd) => void;
}

const LOOK_MS = 100;

export function followFault(followed: Followed): ActiveFault {
  const { id, spec, targets, injectedAtUs, healed, healer } = followed;
  const { acted, isGone, onEnd, repeat } = followed;
  let end: FaultEnd = "expired";
  const finish = (how: FaultEnd): void => {
    if (end === "expired") end = how;
    healer.heal(id);
  };
  const repeating = repeat === undefined ? undefined : setInterval(repeat.act, repeat.everyMs);
  const looking = setInterval(() => {
    if (isGone?.() === true) finish("target-gone");
  }, LOOK_MS);
  const ended = healed.then((how) => {
    clearInterval(repeating);
    clearInterval(looking);
    if (how.by !== "told") end = how.by === "time" ? "expired" : "healed";
    onEnd?.(how, end);
    return end;
  });
  return {
    id,
    kind: spec.kind,
    targets,
    injectedAtUs,
    endsAtUs: injectedAtUs + spec.durationUs,
    ended,
    ...(acted === undefined ? {} : { acted }),
    heal: async () => {
      finish("healed");
      await ended;
    },
  };
}
