/** Replays of small made loads: what each policy must and must not do. */

import { DEFAULT_PRICE_BOOK, MICROS } from "@millrace/costing";
import type { Series } from "@millrace/load-facts";
import { present, seededRandom } from "@millrace/std";
import { describe, expect, test } from "vitest";
import {
  parseSpotTrace,
  POLICIES,
  replay,
  type Replay,
  REPLAY_SETTINGS,
  type ReplaySettings,
} from "../src/index.ts";
import { drawArrivals, quantileOf, windowOf } from "../src/load.ts";
import { drawnMarket, marketOfTrace } from "../src/spot-market.ts";

const MINUTE_US = 60_000_000;
const HOUR_US = 60 * MINUTE_US;
const DAY_US = 24 * HOUR_US;

/** Days of a daily wave between a tenth and the whole of its peak, by five minutes. */
const wave = (days: number, peak = 1_000): Series => ({
  startUs: 0,
  stepUs: 5 * MINUTE_US,
  values: Array.from({ length: days * 288 }, (_, at) =>
    Math.round(peak * (0.55 - 0.45 * Math.cos((2 * Math.PI * at) / 288))),
  ),
});

const run = (trace: Series, names: readonly string[], change: Partial<ReplaySettings> = {}) =>
  replay({
    trace,
    prices: DEFAULT_PRICE_BOOK,
    settings: { ...REPLAY_SETTINGS, ...change },
    policies: POLICIES.filter(({ name }) => names.includes(name)),
  });

const rowOf = ({ rows }: Replay, name: string) =>
  present(
    rows.find(({ policy }) => policy === name),
    name,
  );

const OURS = ["ours", "ours-spot", "ours-spot-batch", "ours-spot-batch-int8"];

describe("a replay of a daily wave", () => {
  const result = run(
    wave(12),
    POLICIES.map(({ name }) => name),
    { daysMax: 2 },
  );

  test("costs the static fleet its workers' price for the whole window", () => {
    const { cost, costRatio, utilisation } = rowOf(result, "static-peak");
    expect(cost).toBeCloseTo(10 * 48 * 0.978, 6);
    expect(costRatio).toBe(1);
    expect(utilisation).toBeCloseTo((0.55 * 0.9) / 1, 1);
    expect(rowOf(result, "static-headroom").costRatio).toBeCloseTo(1.5, 9);
  });

  test("meets the objective with every planned policy, each cheaper than the one before", () => {
    let before = 1;
    for (const name of OURS) {
      const row = rowOf(result, name);
      expect(row.failedShare).toBeLessThanOrEqual(0.0001);
      expect(row.slowShare).toBeLessThanOrEqual(0.01);
      expect(row.costRatio).toBeLessThan(before);
      before = row.costRatio;
    }
    expect(rowOf(result, "ours-perfect").costRatio).toBeLessThanOrEqual(
      rowOf(result, "ours").costRatio,
    );
  });

  test("shows what the step rule fails", () => {
    expect(rowOf(result, "step-rule").failedShare).toBeGreaterThan(0.01);
  });

  test("bills exactly the worker time that it used", () => {
    for (const { policy, micros, workerSeconds } of result.runs) {
      if (policy.defers) continue;
      let sum = 0;
      for (const { kind, zone, lifecycle, seconds } of workerSeconds) {
        const offer = DEFAULT_PRICE_BOOK.offers.find(
          (each) => each.kind === kind && each.zone === zone && each.lifecycle === lifecycle,
        );
        sum += (seconds * present(offer, "the offer").microsPerHour) / 3_600;
      }
      expect(Math.abs(sum - micros)).toBeLessThan(1);
    }
  });

  test("uses spot only where the policy may, and never without its on-demand base", () => {
    for (const { policy, timeline } of result.runs) {
      const spot = timeline.reduce((sum, slice) => sum + slice.spot, 0);
      expect(spot > 0).toBe(policy.spot);
      for (const slice of timeline) expect(slice.onDemand).toBeGreaterThanOrEqual(0.99);
    }
  });

  test("gives the same figures again", () => {
    expect(run(wave(12), ["ours-spot"], { daysMax: 2 }).rows[0]).toEqual(
      rowOf(result, "ours-spot"),
    );
  });
});

describe("a replay", () => {
  test("of an hour has no day-ahead history, says so and works", () => {
    const hour: Series = { startUs: 0, stepUs: MINUTE_US, values: wave(1).values.slice(60, 120) };
    const result = run(hour, ["ours"]);
    expect(result.world.window).toEqual({ fromUs: 0, toUs: HOUR_US, leftOutUs: 0 });
    expect([...result.world.rolling.methods().keys()]).toContain("none");
    expect(rowOf(result, "ours").failedShare).toBe(0);
  });

  test("of no load costs the least workers and divides by nothing", () => {
    const result = run({ ...wave(3), values: wave(3).values.map(() => 0) }, OURS);
    for (const row of result.rows) {
      expect(Object.values(row).slice(1).every(Number.isFinite)).toBe(true);
    }
    expect(rowOf(result, "ours").costRatio).toBeCloseTo(0.2, 9);
  });

  test("leaves out what nobody counted: the longest stretch of the window is replayed", () => {
    // Of days 2 to 4 the first and the last part are counted, a quarter and a half of a day.
    const values = wave(4).values.map((value, at) =>
      at >= 2.25 * 288 && at < 3.5 * 288 ? Number.NaN : value,
    );
    const { world } = run({ ...wave(4), values }, ["static-peak"]);
    expect(world.window).toEqual({
      fromUs: 3.5 * DAY_US,
      toUs: 4 * DAY_US,
      leftOutUs: 1.5 * DAY_US,
    });
    expect(Math.min(...world.arrivals)).toBeGreaterThan(0);
    const longerBefore = values.map((value, at) => (at >= 3.1 * 288 ? Number.NaN : value));
    expect(windowOf({ ...wave(4), values: longerBefore }, 28)).toMatchObject({
      fromUs: 2 * DAY_US,
      toUs: 2.25 * DAY_US,
    });
  });

  test("asks for the same work whatever share of it may wait", () => {
    const [with30, without] = [0.3, 0].map((deferrableShare) =>
      run(wave(3), ["ours-spot-batch"], { deferrableShare }),
    );
    const work = (result: Replay | undefined): number =>
      present(result, "a result").runs[0]?.requests ?? 0;
    expect(work(with30)).toBeCloseTo(work(without), 3);
  });

  test("survives a spot market that gives nothing, on demand", () => {
    const nothing = parseSpotTrace(
      "none",
      "timestamp,instances\n2026-01-01T00:00:00Z,9\n2026-01-01T00:01:00Z,0\n2026-01-09T00:00:00Z,0\n",
    );
    if (!nothing.ok) throw new Error(nothing.error.problem);
    const { rows } = replay({
      trace: wave(4),
      prices: DEFAULT_PRICE_BOOK,
      settings: REPLAY_SETTINGS,
      spotTrace: nothing.value.trace,
      policies: POLICIES.filter(({ name }) => name === "ours-spot"),
    });
    expect(rows[0]?.failedShare).toBeLessThan(0.001);
    expect(rows[0]?.costRatio).toBeGreaterThan(0.5);
  });
});

test.each([
  [1 / 24, 0],
  [3, 1.5],
  [14, 8],
  [28, 14],
  [60, 32],
])("of %d days the first %d are history", (days, history) => {
  const trace = { startUs: 0, stepUs: 5 * MINUTE_US, values: Array(days * 288).fill(1) };
  expect(windowOf(trace, 28).fromUs).toBe(history * DAY_US);
});

test("a load in one step of thousands still fills the static fleet", () => {
  const values = Array.from({ length: 12 * 288 }, (_, at) => (at === 3_000 ? 1_000 : 0));
  const { runs } = run({ startUs: 0, stepUs: 5 * MINUTE_US, values }, ["static-peak"]);
  expect((runs[0]?.requests ?? 0) / (900 * 300)).toBeCloseTo(1, 1);
});

test("workers of the start that are not needed go after the hold time", () => {
  const values = Array.from({ length: 180 }, () => 1_000);
  const flat = run({ startUs: 0, stepUs: MINUTE_US, values }, ["ours"]);
  const [first, last] = [flat.runs[0]?.timeline[0], flat.runs[0]?.timeline.at(-1)];
  expect(first?.onDemand).toBe(14);
  expect(last?.onDemand).toBeLessThanOrEqual(11);
  expect(rowOf(flat, "ours").slowShare).toBe(0);
});

test("the scale is set by the P99.9 minute, which the static fleet serves at 90 %", () => {
  const { world } = run(wave(4), ["static-peak"]);
  const perSecond = Array.from(world.arrivals, (count) => count / 5);
  expect(quantileOf(perSecond, 0.99) / 900).toBeCloseTo(1, 1);
});

describe("a spot trace", () => {
  const EVENTS =
    "t_seconds,event,node,alive_after\n0,add,a,1\n0,add,b,2\n60,remove,a,1\n90,add,c,2\n";

  test("of events says what was taken back and what is left", () => {
    expect(parseSpotTrace("p3", EVENTS)).toMatchObject({
      ok: true,
      value: {
        repairs: [],
        trace: {
          lengthUs: 90_000_000,
          events: [
            { atUs: 0, reclaimed: 0, available: 1 },
            { atUs: 60_000_000, reclaimed: 0.5, available: 0.5 },
            { atUs: 90_000_000, reclaimed: 0, available: 1 },
          ],
        },
      },
    });
  });

  test("of counts is sorted within five minutes, and of two counts the lower one holds", () => {
    const text =
      "timestamp,instances\n2021-12-10T13:07:00Z,80\n2021-12-10T13:09:00Z,80\n" +
      "2021-12-10T13:08:00Z,70\n2021-12-10T13:09:00Z,60\n";
    const spot = parseSpotTrace("gcp", text);
    expect(spot).toMatchObject({
      ok: true,
      value: {
        repairs: ["1 rows sorted into their place", "1 times with two counts: the lower one"],
      },
    });
    if (spot.ok) {
      expect(spot.value.trace.events.map(({ available }) => available * 80)).toEqual([80, 70, 60]);
    }
  });

  test.each([
    ["a,b\n1,2\n", "line 1", "columns a,b"],
    [EVENTS.replace("60,remove,a,1", "60,remove,a,0"), "line 4", "0 alive after one remove from 2"],
    [EVENTS.replace("90,add", "30,add"), "line 5", "30 s after 60 s"],
    [EVENTS.replace("90,add", "90,move"), "line 5", 'event "move"'],
    [EVENTS.replace("60,", "-60,"), "line 4", "t_seconds -60"],
    ["timestamp,instances\n2021-12-10T13:07:00Z,8\n2021-12-10T12:07:00Z,8\n", "line 3", "after"],
    ["timestamp,instances\nnoon,8\n", "line 2", "timestamp noon"],
    ["timestamp,instances\n2021-12-10T13:07:00Z,0\n2021-12-10T13:08:00Z,0\n", "line 2", "alive"],
  ])("%j is refused at its line", (text, line, problem) => {
    const spot = parseSpotTrace("bad", text);
    expect(spot.ok).toBe(false);
    if (spot.ok) return;
    expect(`line ${spot.error.line}`).toBe(line);
    expect(spot.error.problem).toContain(problem);
  });

  test("stands for several zones by starting each at another point of it", () => {
    const trace = {
      name: "t",
      lengthUs: 90,
      events: [
        { atUs: 0, reclaimed: 0, available: 1 },
        { atUs: 60, reclaimed: 1, available: 0 },
      ],
    };
    const { zones } = marketOfTrace(trace, 3, 180);
    expect(zones.map(([first]) => first?.available)).toEqual([1, 1, 0]);
    expect(zones[0]?.map(({ atUs }) => atUs)).toEqual([0, 60, 90, 150]);
    expect(zones[1]?.map(({ atUs }) => atUs)).toEqual([0, 30, 60, 120, 150]);
  });

  test("that is drawn is the same for the same seed, and falls out as often as it says", () => {
    const market = drawnMarket(7, 3, 400 * DAY_US);
    expect(market).toEqual(drawnMarket(7, 3, 400 * DAY_US));
    const outages = market.zones.flat().filter(({ reclaimed }) => reclaimed === 1).length;
    expect(outages / ((3 * 400 * 24) / 19)).toBeCloseTo(1, 1);
  });
});

test("money is in micro-dollars", () => {
  const { runs, rows } = run(wave(3), ["static-peak"]);
  expect(rows[0]?.cost).toBe((runs[0]?.micros ?? 0) / MICROS);
});

test.each([0, 3])(
  "a trace by seconds is summed, not sampled: bursts at second %d of five",
  (at) => {
    const values = Array.from({ length: 3_600 }, (_, second) => (second % 5 === at ? 50 : 0));
    const trace = { startUs: 0, stepUs: 1_000_000, values };
    const arrivals = drawArrivals(trace, windowOf(trace, 28), 1, seededRandom(1));
    const total = arrivals.reduce((sum, count) => sum + count, 0);
    expect(Math.abs(total / 36_000 - 1)).toBeLessThan(0.02);
  },
);
