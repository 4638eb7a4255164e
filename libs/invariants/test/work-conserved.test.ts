/** I10: what is left lying is reported, and what has a reason to wait is not. */

import type { Tier } from "@millrace/protocol";
import { describe, expect, test } from "vitest";
import { checkWorkConserved, type Fact, Observer } from "../src/index.ts";

const IDLE_US = 50;
const AGE_US = 10_000;

const judge = (history: readonly (readonly [atUs: number, fact: Fact])[]): string[] => {
  const observer = new Observer([
    (report) =>
      checkWorkConserved(report, {
        rankOf: (device) => (device.startsWith("gpu") ? 0 : 1),
        idleUsMax: () => IDLE_US,
        heardUsMax: 10,
        ageAfterUs: AGE_US,
      }),
  ]);
  for (const [atUs, fact] of history) observer.observe(fact, atUs);
  observer.finish(Infinity);
  return observer.violations.map(
    ({ invariant, atUs, message }) => `${invariant} ${atUs} ${message}`,
  );
};

const held = (device: string, model = "a@1"): Fact => ({
  type: "modelHeld",
  device,
  model,
  held: true,
});
const queued = (work: string, tier: Tier = 1, scheduler = "s1"): Fact => ({
  type: "workQueued",
  work,
  scheduler,
  model: "a@1",
  tier,
});
const given = (device: string, ...works: string[]): Fact => ({ type: "workGiven", works, device });
const ended = (device: string, work: string): Fact => ({ type: "workEnded", work, device });

describe("beside an idle device", () => {
  test("work may wait as long as it takes to hear of that", () => {
    const history = [
      [0, held("gpu-1")],
      [100, queued("w")],
      [150, given("gpu-1", "w")],
    ] as const;
    expect(judge(history)).toEqual([]);
  });

  test("it does not wait longer, wherever it goes then", () => {
    const history = [
      [0, held("gpu-1")],
      [100, queued("w")],
      [151, given("cpu-1", "w")],
    ] as const;
    expect(judge(history)).toEqual([
      "I10 151 w of tier 1 for a@1 waited 51 us beside idle gpu-1, and went to cpu-1",
    ]);
  });

  test("it waits twice as long for a better one", () => {
    const waits = (us: number): readonly string[] =>
      judge([
        [0, held("gpu-1")],
        [0, held("cpu-1")],
        [90, queued("other")],
        [90, given("gpu-1", "other")],
        [100, queued("w")],
        [100 + us, given("gpu-1", "w")],
      ]);
    expect(waits(100)).toEqual([]);
    expect(waits(101)).toHaveLength(1);
  });

  test("its time counts from when the device is idle and known to have the model", () => {
    const busy = [
      [0, held("gpu-1")],
      [20, queued("other")],
      [20, given("gpu-1", "other")],
      [100, queued("w")],
      [300, ended("gpu-1", "other")],
      [350, given("gpu-1", "w")],
    ] as const;
    expect(judge(busy)).toEqual([]);
    const loaded = [
      [0, queued("w")],
      [300, held("gpu-1")],
      [360, given("gpu-1", "w")],
    ] as const;
    expect(judge(loaded)).toEqual([]);
  });
});

describe("behind less urgent work", () => {
  const passes = (times: number, work: Fact, more: readonly Fact[] = []): readonly string[] => {
    const history: [number, Fact][] = [
      [0, held("gpu-1")],
      ...more.map((fact): [number, Fact] => [0, fact]),
      [100, queued("first")],
      [100, given("gpu-1", "first")],
      [100, work],
    ];
    for (let time = 0; time < times; time++) {
      const atUs = 200 + 100 * time;
      history.push([atUs - 10, queued(`less-${time}`, 2)]);
      history.push([atUs, given("gpu-1", `less-${time}`)]);
    }
    return judge(history);
  };

  test("work is not left again and again", () => {
    expect(passes(2, queued("w", 0))).toEqual([]);
    expect(passes(3, queued("w", 0))).toEqual([
      "I10 400 gpu-1 was given work of tier 2 while w of tier 0 for a@1 had waited 300 us",
    ]);
  });

  test("it may be left where it is not more urgent, or waits at another scheduler", () => {
    expect(passes(5, queued("w", 2))).toEqual([]);
    expect(passes(5, queued("w", 0, "s2"))).toEqual([]);
  });

  test("it is not left once it is refused, with all its attempts", () => {
    const history: [number, Fact][] = [
      [0, held("gpu-1")],
      [1, queued("i/1/2", 0)],
    ];
    history.push([2, { type: "workDropped", work: "i/1" }]);
    for (const atUs of [200, 300, 400]) {
      history.push([atUs, queued(`less-${atUs}`, 2)], [atUs, given("gpu-1", `less-${atUs}`)]);
    }
    expect(judge(history)).toEqual([]);
  });
});
