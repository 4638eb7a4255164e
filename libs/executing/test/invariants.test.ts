/** The numbered invariants under random interleavings; see `world.ts` for the checks. */

import * as fc from "fast-check";
import { describe, test } from "vitest";
import { type NewItem, World } from "./world.ts";

const model = fc.constantFrom(0, 0, 0, 1, 2);

const newItem: fc.Arbitrary<NewItem> = fc.record({
  ingress: fc.constantFrom("ingress-1", "ingress-2"),
  remote: fc.boolean(),
  poisoned: fc.constantFrom(false, false, false, true),
  rows: fc.constantFrom(1, 1, 1, 2, 5),
  remainingUs: fc.constantFrom(0, 50_000, 5_000_000),
});

type Step = (world: World) => void;

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        model,
        tier: fc.constantFrom(0 as const, 1 as const, 2 as const),
        startWithinUs: fc.constantFrom(0, 20_000, 1_000_000, 4_000_000),
        items: fc.array(newItem, { maxLength: 12 }),
      })
      .map(
        (drawn): Step =>
          (world) =>
            world.assign(drawn.model, drawn.tier, drawn.startWithinUs, drawn.items),
      ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(50), fc.nat(9)).map(
      ([at, luck]): Step =>
        (world) =>
          world.body(at, luck === 0),
    ),
  },
  { weight: 8, arbitrary: fc.constant<Step>((world) => world.endRun(false)) },
  { weight: 1, arbitrary: fc.constant<Step>((world) => world.deliverLastAgain()) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom("load" as const, "unload" as const), model).map(
      ([kind, at]): Step =>
        (world) =>
          world.command(kind, at),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.nat(4).map(
      (luck): Step =>
        (world) =>
          world.endOperation(luck === 0),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(1, 1_000, 30_000, 900_000).map(
      (us): Step =>
        (world) =>
          world.pass(us),
    ),
  },
);

describe("in any interleaving", () => {
  test("every item gets its own answer once, the highest tier goes first, memory holds", () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 60 }), (drawn) => {
        const world = new World();
        for (const step of drawn) step(world);
        world.settle();
      }),
      { numRuns: 400 },
    );
  });

  test("a drain answers everything that was held and refuses what comes later", () => {
    fc.assert(
      fc.property(
        fc.array(steps, { maxLength: 30 }),
        fc.array(steps, { maxLength: 20 }),
        (before, after) => {
          const world = new World();
          for (const step of before) step(world);
          world.drain();
          for (const step of after) step(world);
          world.settle();
          world.pass(300_000);
          if (!world.ended) throw new Error("the worker has not exited");
        },
      ),
      { numRuns: 200 },
    );
  });

  test("a device that is lost leaves nothing unanswered", () => {
    fc.assert(
      fc.property(
        fc.array(steps, { maxLength: 30 }),
        fc.array(steps, { maxLength: 10 }),
        (before, after) => {
          const world = new World();
          for (const step of before) step(world);
          fc.pre(world.isRunning);
          world.endRun(true);
          for (const step of after) step(world);
          world.settle();
        },
      ),
      { numRuns: 200 },
    );
  });
});
