/** Which of the runs that wait for the device goes next, and which do not go at all. */

import type { ModelSpec } from "@millrace/protocol";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Engine, type EngineItem, openEngine, type Turn } from "../src/index.ts";
import { load } from "./harness.ts";
import { addModel, floats, gatherModel, item, longs } from "./models.ts";

const ROW_US = 10_000;
const one = item(1, [floats(1, [1, 2, 3, 4])]);

/** A device slow enough that what is asked for meanwhile waits. */
async function open(): Promise<Engine> {
  const memoryBudgetBytes = 1024 ** 3;
  const engine = await openEngine({
    device: "emulated",
    threads: 1,
    memoryBudgetBytes,
    rowUs: ROW_US,
  });
  onTestFinished(() => engine[Symbol.asyncDispose]());
  return engine;
}

/** Asks for runs in this order; returns their names and outcomes in the order of their ends. */
function asker(engine: Engine) {
  const ended: string[] = [];
  const runs: Promise<unknown>[] = [];
  return {
    ask: (name: string, spec: ModelSpec, items: EngineItem[], when: Turn): void => {
      const run = async (): Promise<void> => {
        const result = await engine.run(spec, items, when);
        ended.push(`${name} ${result.ok ? "ok" : result.fault.code}`);
      };
      runs.push(run());
    },
    ended: () => Promise.all(runs).then(() => ended),
  };
}

const turn = (tier: Turn["tier"], fields: Partial<Turn> = {}): Turn => ({
  tier,
  startWithinUs: Infinity,
  partial: false,
  ...fields,
});

describe("runs that wait", () => {
  test("go by tier, and in a tier in the order in which they were asked for", async () => {
    const engine = await open();
    const spec = await load(engine, addModel("add"));
    const { ask, ended } = asker(engine);
    ask("first", spec, [one], turn(0));
    ask("batch", spec, [one], turn(2));
    ask("standard", spec, [one], turn(1));
    ask("realtime", spec, [one], turn(0));
    ask("another", spec, [one], turn(0));
    expect(await ended()).toEqual([
      "first ok",
      "realtime ok",
      "another ok",
      "standard ok",
      "batch ok",
    ]);
  });

  test("do not begin past their latest start, and those behind them do", async () => {
    const engine = await open();
    const spec = await load(engine, addModel("add"));
    const { ask, ended } = asker(engine);
    ask("first", spec, [one], turn(1));
    ask("late", spec, [one], turn(1, { startWithinUs: ROW_US / 2 }));
    ask("in time", spec, [one], turn(1, { startWithinUs: 100 * ROW_US }));
    expect(await ended()).toEqual(["first ok", "late STALE_ASSIGNMENT", "in time ok"]);
  });

  test("are given back behind one that fails, or of which more may come", async () => {
    const engine = await open();
    const spec = await load(engine, gatherModel());
    const good = [item(1, [longs([1], [2])])];
    const poison = [item(1, [longs([1], [1_000])])];
    const failing = asker(engine);
    failing.ask("poison", spec, poison, turn(0));
    failing.ask("behind", spec, good, turn(1));
    expect(await failing.ended()).toEqual(["poison EXECUTION_FAILED", "behind STALE_ASSIGNMENT"]);
    const parts = asker(engine);
    parts.ask("part", spec, good, turn(0, { partial: true }));
    parts.ask("behind", spec, good, turn(1));
    expect(await parts.ended()).toEqual(["part ok", "behind STALE_ASSIGNMENT"]);
  });
});
