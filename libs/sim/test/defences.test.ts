/** The checkers can fail: without a defence, the cluster breaks the invariant that it upholds. */

import { type InvariantId, INVARIANTS } from "@millrace/invariants";
import { hash32 } from "@millrace/std";
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DEFENCES, drawScenario, type Report, simulate } from "../src/index.ts";
import { HELD_ELSEWHERE, type Mutation, MUTATIONS } from "./mutations.ts";

const SEEDS_MAX = 1_000;

interface Tried extends Mutation {
  readonly breaks: InvariantId;
}

const TRIED: readonly Tried[] = INVARIANTS.flatMap((breaks) =>
  (MUTATIONS[breaks] ?? []).map((mutation) => ({ ...mutation, breaks })),
);

const isSound = ({ violations, bug }: Report): boolean =>
  violations.length === 0 && bug === undefined;

/** The first run that breaks the invariant without the defence, and that run with it. */
function firstBroken({ without, change, odds, breaks }: Tried): Report | undefined {
  for (let at = 0; at < SEEDS_MAX; at++) {
    const seed = hash32(`defence/${at}`);
    const drawn = drawScenario(seed);
    const changed = change === undefined ? {} : change(drawn);
    if (changed === undefined) continue;
    const scenario = { ...drawn, calm: false, ...changed };
    const { violations } = simulate(seed, { without, scenario });
    if (!violations.some(({ invariant }) => invariant === breaks)) continue;
    const sound = simulate(seed, { scenario });
    if (odds !== true || isSound(sound)) return sound;
  }
  return undefined;
}

describe("a cluster without", () => {
  test.each(TRIED)("$without breaks $breaks, and only without it", (tried) => {
    const sound = firstBroken(tried);
    expect(sound).toMatchObject({ violations: [], bug: undefined });
  });
});

describe("the table of mutations", () => {
  test("breaks every invariant, here or where it says", () => {
    const missing = INVARIANTS.filter(
      (id) => MUTATIONS[id] === undefined && HELD_ELSEWHERE[id] === undefined,
    );
    expect(missing).toEqual([]);
    for (const path of Object.values(HELD_ELSEWHERE)) {
      expect(existsSync(new URL(`../../../${path}`, import.meta.url)), path).toBe(true);
    }
  });

  test("has every defence that can be switched off", () => {
    const used = new Set(TRIED.flatMap(({ without }) => without));
    expect(DEFENCES.filter((defence) => !used.has(defence))).toEqual([]);
  });
});
