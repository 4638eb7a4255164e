/** Which fault the monkey mode draws next: a pure function of chance and of who is there. */

import {
  type Blast,
  checkFaultSpec,
  type Drawing,
  FAULT_KINDS,
  faultEntry,
  type FaultKind,
  type FaultRecord,
  type FaultSpec,
  type OptionValue,
} from "@millrace/protocol";
import { chooseTargets, type FaultMember } from "@millrace/faults";
import type { Random } from "@millrace/std";

export interface Draw {
  readonly random: Random;
  readonly drawing: Drawing;
  readonly members: readonly FaultMember[];
  readonly running: readonly FaultRecord[];
  readonly blast: Blast;
  /** Kinds that cannot be injected here. */
  readonly missing: ReadonlySet<FaultKind>;
}

/** Only by name: it hits all that there is. */
const NEVER_DRAWN: ReadonlySet<FaultKind> = new Set(["all-workers-gone"]);

/** Undefined where nobody may be hit by anything. */
export function drawFault(draw: Draw): FaultSpec | undefined {
  const { random, drawing, missing } = draw;
  const allowed = drawing.kinds ?? FAULT_KINDS.filter((kind) => !NEVER_DRAWN.has(kind));
  const kinds = allowed.filter((kind) => !missing.has(kind));
  for (const kind of shuffled(kinds, random)) {
    for (const { id } of shuffled(draw.members, random)) {
      const options = drawOptions(kind, random);
      const target = kind === "all-workers-gone" ? { role: "worker" } : { id };
      const spec = checkFaultSpec({ kind, target, durationUs: drawing.durationUs, options });
      if (spec.ok && chooseTargets(spec.value, { ...draw, seed: 0 }).ok) return spec.value;
    }
  }
  return undefined;
}

/** Choices are drawn, everything else stays as the catalogue has it. */
function drawOptions(kind: FaultKind, random: Random): Record<string, OptionValue> {
  const drawn: Record<string, OptionValue> = {};
  for (const [name, option] of Object.entries(faultEntry(kind).options)) {
    if (option.type !== "choice") continue;
    drawn[name] = option.choices[random.below(option.choices.length)] ?? option.fallback;
  }
  return drawn;
}

function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  const left = [...items];
  const out: T[] = [];
  while (left.length > 0) out.push(...left.splice(random.below(left.length), 1));
  return out;
}

/** From the end of one fault to the begin of the next. */
export const waitUsOf = (drawing: Drawing, random: Random): number =>
  Math.max(drawing.distanceUs, Math.round(random.exponential(drawing.meanUs)));
