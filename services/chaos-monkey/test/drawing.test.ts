/** What the monkey mode draws: decided by the seed, and never what may not be hit. */

import type { FaultMember } from "@millrace/faults";
import { BLAST_DEFAULT, type FaultKind } from "@millrace/protocol";
import { seededRandom } from "@millrace/std";
import { expect, test } from "vitest";
import { type Draw, drawFault, waitUsOf } from "../src/drawing.ts";

const member = (id: string, role: string): FaultMember => ({ id, role, pid: 2 });
const MEMBERS = [
  member("nats-1", "nats"),
  member("ingress-1", "ingress"),
  member("scheduler-1", "scheduler"),
  member("scheduler-2", "scheduler"),
  member("gpu-worker-1", "gpu-worker"),
  member("gpu-worker-2", "gpu-worker"),
];
const DRAWING = { seed: 1, meanUs: 1_000_000, distanceUs: 200_000, durationUs: 500_000 };

const draw = (seed: number, change: Partial<Draw> = {}): ReturnType<typeof drawFault> =>
  drawFault({
    random: seededRandom(seed),
    drawing: DRAWING,
    members: MEMBERS,
    running: [],
    blast: BLAST_DEFAULT,
    missing: new Set<FaultKind>(["poison-input", "thundering-herd"]),
    ...change,
  });

const seeds = Array.from({ length: 300 }, (_, seed) => seed);

test("the same seed draws the same fault, and other seeds other ones", () => {
  const drawn = seeds.map((seed) => draw(seed));
  expect(drawn).toEqual(seeds.map((seed) => draw(seed)));
  expect(new Set(drawn.map((spec) => spec?.kind)).size).toBeGreaterThan(12);
});

test("the only one of a role is never hit, nor all workers, nor by what is missing", () => {
  for (const seed of seeds) {
    const spec = draw(seed);
    expect(["poison-input", "thundering-herd", "all-workers-gone"]).not.toContain(spec?.kind);
    expect(JSON.stringify(spec?.target)).toMatch(/scheduler|gpu-worker/);
  }
});

test("only kinds that were named", () => {
  const drawing = { ...DRAWING, kinds: ["pause", "kill"] as const };
  const kinds = new Set(seeds.map((seed) => draw(seed, { drawing: drawing as never })?.kind));
  expect(kinds).toEqual(new Set(["kill", "pause"]));
});

test("nothing is drawn where nobody may be hit", () => {
  const members = MEMBERS.slice(0, 2);
  expect(draw(1, { members })).toBeUndefined();
});

test("between two faults is at least the distance, and the mean on average", () => {
  const random = seededRandom(7);
  const waits = Array.from({ length: 5_000 }, () => waitUsOf(DRAWING, random));
  expect(Math.min(...waits)).toBe(DRAWING.distanceUs);
  const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
  // The mean of max(d, exponential(m)) is d + m * exp(-d / m).
  const expected = 200_000 + 1_000_000 * Math.exp(-0.2);
  expect(mean / expected).toBeGreaterThan(0.95);
  expect(mean / expected).toBeLessThan(1.05);
});
