/** The forecast of many kinds of load: near what came, sane whatever came, the same every time. */

import { cutSeries, DAY_US, endUs, HOUR_US, type Series } from "@millrace/load-facts";
import { describe, expect, test } from "vitest";
import { fitForecast, type Forecast, Forecaster, parseEvents } from "../src/index.ts";
import { daily, draw, START_US, weekly } from "./series.ts";

const month = draw({ days: 36, stepMinutes: 5, perHour: (t) => 900 * daily(t) * weekly(t) });
const MONTH_DAY = 35;
const known = cutSeries(month, 0, START_US + MONTH_DAY * DAY_US);
const came = cutSeries(month, endUs(known), endUs(month));

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);
const byHour = (values: readonly number[]): number[] =>
  Array.from({ length: values.length / 12 }, (_, hour) =>
    sum(values.slice(hour * 12, hour * 12 + 12)),
  );

function wape(forecast: readonly number[], counted: readonly number[]): number {
  return sum(forecast.map((value, at) => Math.abs(value - (counted[at] as number)))) / sum(counted);
}

function expectSane({ mean, quantiles }: Forecast): void {
  for (const line of [mean, ...Object.values(quantiles)]) {
    expect(line.every((value) => Number.isFinite(value) && value >= 0)).toBe(true);
  }
  const lines = Object.values(quantiles);
  for (const [at, line] of lines.slice(1).entries()) {
    expect(line.every((value, step) => value >= (lines[at]?.[step] as number))).toBe(true);
  }
}

describe("a month of days and weeks", () => {
  const forecast = fitForecast(known);

  test("gives the next day by five minutes from where it ends, near what came", () => {
    expect([forecast.startUs, forecast.stepUs]).toEqual([endUs(known), 300_000_000]);
    expect(forecast.mean).toHaveLength(288);
    expect(Object.keys(forecast.quantiles)).toEqual(["0.5", "0.9", "0.95", "0.99"]);
    expect(wape(byHour(forecast.mean), byHour(came.values))).toBeLessThan(0.1);
    expectSane(forecast);
  });

  test("is by an ensemble of at most four whose shares are whole", () => {
    expect(forecast.method).toBe("ensemble");
    const shares = Object.values(forecast.weights);
    expect(shares.length).toBeLessThanOrEqual(4);
    expect(sum(shares)).toBeCloseTo(1);
    expect(forecast).not.toHaveProperty("overruled");
  });

  test("is the same every time", () => {
    expect(fitForecast(known)).toEqual(forecast);
  });

  test("may be asked by other steps, of which the sums agree", () => {
    const hourly = fitForecast(known, { stepUs: HOUR_US, quantiles: [0.9] });
    const minutes = fitForecast(known, { stepUs: 60_000_000, horizonSteps: 120 });
    expect(hourly.mean).toHaveLength(24);
    expect(sum(hourly.mean)).toBeCloseTo(sum(forecast.mean), 3);
    expect(sum(minutes.mean)).toBeCloseTo(sum(forecast.mean.slice(0, 24)), 3);
    const peak = Math.max(...(forecast.quantiles["0.9"] ?? []).slice(0, 12));
    expect(hourly.quantiles["0.9"]?.[0]).toBeCloseTo(12 * peak, 6);
  });

  test("from inside the month does not know what came later", () => {
    const originUs = START_US + 20 * DAY_US;
    const asThen = new Forecaster(month).at(originUs);
    const blind = new Forecaster(cutSeries(month, 0, originUs)).at(originUs);
    expect(asThen).toEqual(blind);
  });

  test("looks two days ahead where that is declared", () => {
    const horizon = { horizonSteps: 48, stepUs: HOUR_US };
    const two = fitForecast(known, horizon);
    expect(two.mean).toHaveLength(48);
    expect(two.mean[30]).toBeGreaterThan(0);
  });
});

describe("a history too short for the ensemble falls back", () => {
  const cut = (hours: number): Series => cutSeries(month, 0, START_US + hours * HOUR_US);

  test.each([
    [0, "none"],
    [0.5, "last-value"],
    [5, "last-value"],
    [30, "naive-24"],
  ])("%d hours: %s", (hours, method) => {
    const forecast = fitForecast(cut(hours));
    expect(forecast.method).toBe(method);
    expect(forecast.mean).toHaveLength(288);
    expectSane(forecast);
  });

  test.each([4 * 24, 9 * 24, 15 * 24])(
    "%d hours are an ensemble of what can be judged",
    (hours) => {
      const forecast = fitForecast(cut(hours));
      expect(forecast.method).toBe("ensemble");
      expectSane(forecast);
    },
  );
});

describe("a load that is not as it was", () => {
  const errorAfter = (series: Series, days: number): number => {
    const originUs = START_US + days * DAY_US;
    const forecast = fitForecast(cutSeries(series, 0, originUs));
    const day = cutSeries(series, originUs, originUs + DAY_US);
    return wape(byHour(forecast.mean), byHour(day.values));
  };

  test("is followed within two days of a change of level", () => {
    const shape = (t: number): number => 800 * daily(t) * weekly(t) * (t >= 22 * 24 ? 2.5 : 1);
    const series = draw({ days: 26, stepMinutes: 5, perHour: shape });
    expect(errorAfter(series, 24)).toBeLessThan(0.3);
  });

  test("is not thrown off by an outage or by hours that were not counted", () => {
    const values = month.values.map((value, at) => {
      const hour = at / 12;
      if (hour >= 28 * 24 + 9 && hour < 28 * 24 + 19) return 0;
      return hour >= 31 * 24 && hour < 31 * 24 + 40 ? Number.NaN : value;
    });
    expect(errorAfter({ ...month, values }, MONTH_DAY)).toBeLessThan(0.12);
  });

  test("that is sparse, or nothing at all, has sane forecasts", () => {
    const sparse = draw({ days: 20, stepMinutes: 5, perHour: (t) => 2 * daily(t) });
    expectSane(fitForecast(sparse));
    const silent = { ...month, values: month.values.map(() => 0) };
    const forecast = fitForecast(silent);
    expectSane(forecast);
    expect(Math.max(...forecast.mean)).toBeLessThan(0.01);
  });
});

test("a lasting rise makes no line that is far above everything that was seen", () => {
  const shape = (t: number): number => 900 * daily(t) * (t >= 28 * 24 ? 10 : 1);
  const series = draw({ days: 32, stepMinutes: 5, perHour: shape });
  const { requestQuantiles } = fitForecast(series, { requestQuantiles: [0.75] });
  const most = Math.max(...(requestQuantiles?.["0.75"] ?? []));
  expect(most).toBeGreaterThan(0.5 * Math.max(...series.values));
  expect(most).toBeLessThan(2 * Math.max(...series.values));
});

describe("the line for a share of the requests", () => {
  const bursty = draw({ days: 30, stepMinutes: 5, perHour: (t) => 900 * daily(t) });
  // Every fourth day an hour holds sixty times its load, at another time of day.
  const values = bursty.values.map((value, at) => {
    const [day, hour] = [Math.floor(at / 288), Math.floor((at % 288) / 12)];
    return day % 4 === 0 && hour === (day * 5) % 24 ? value * 60 : value;
  });
  const most = (line: readonly number[] | undefined): number => Math.max(...(line ?? []));

  test("is far above the same share of hours where bursts hold the load", () => {
    const { quantiles, requestQuantiles } = fitForecast(
      { ...bursty, values },
      { quantiles: [0.75], requestQuantiles: [0.75] },
    );
    expect(most(requestQuantiles?.["0.75"])).toBeGreaterThan(2 * most(quantiles["0.75"]));
  });

  test("is near the same share of hours where no hour stands out", () => {
    const { quantiles, requestQuantiles } = fitForecast(bursty, {
      quantiles: [0.75],
      requestQuantiles: [0.75],
    });
    const ratio = most(requestQuantiles?.["0.75"]) / most(quantiles["0.75"]);
    expect(ratio).toBeGreaterThanOrEqual(1);
    expect(ratio).toBeLessThan(1.1);
  });

  test("comes down to the load as minutes show that it is steady, and less for calm ones", () => {
    const steady = (minutes: number, noise: number): Series => ({
      startUs: START_US,
      stepUs: 60_000_000,
      values: Array.from({ length: minutes }, (_, at) => 1_000 * (1 + noise * (at % 2))),
    });
    const above = (series: Series): number => {
      const { mean, requestQuantiles } = fitForecast(series);
      return (requestQuantiles?.["0.75"]?.[0] ?? 0) / (mean[0] ?? 1);
    };
    expect(above(steady(5, 0))).toBeGreaterThan(above(steady(40, 0)));
    expect(above(steady(90, 0))).toBeLessThan(1.15);
    expect(above(steady(90, 0.5))).toBeGreaterThan(above(steady(90, 0)) + 0.1);
  });
});

describe("a load that is new", () => {
  const idleThen = (idleHours: number, busyHours: number): Series => ({
    startUs: START_US,
    stepUs: 300_000_000,
    values: [
      ...Array.from({ length: 12 * idleHours }, () => 0),
      ...Array.from({ length: 12 * busyHours }, () => 80),
    ],
  });

  test.each([
    [48, 1],
    [50, 3],
    [72, 3],
  ])("after %d idle hours and %d busy ones has quantiles of its own size", (idle, busy) => {
    const forecast = fitForecast(idleThen(idle, busy));
    expectSane(forecast);
    for (const line of Object.values(forecast.quantiles)) {
      expect(Math.max(...line)).toBeLessThan(5 * 80);
    }
    expect(forecast).not.toHaveProperty("overruled");
  });

  test("a burst in days of nothing is no season", () => {
    const values = Array.from({ length: 5 * 288 }, (_, at) => (at === 4 * 288 - 2 ? 500 : 0));
    const forecast = fitForecast({ startUs: START_US, stepUs: 300_000_000, values });
    expectSane(forecast);
    expect(Math.max(...(forecast.quantiles["0.99"] ?? []))).toBeLessThan(1_000);
    expect(forecast).not.toHaveProperty("overruled");
  });
});

describe("a supplied forecast", () => {
  const day = (value: number): number[] => Array.from({ length: 24 }, () => value);

  test("that is only compared stands beside, and changes nothing", () => {
    const ahead = { originUs: endUs(known), hourly: day(600) };
    const { compared, ...rest } = fitForecast(known, { compared: { prophet: ahead } });
    expect(rest).toEqual(fitForecast(known));
    expect(sum(compared?.["prophet"] ?? [])).toBeCloseTo(24 * 600, -1);
    const absurd = { originUs: endUs(known), hourly: day(1e9) };
    expect(fitForecast(known, { compared: { prophet: absurd } })).not.toHaveProperty("compared");
  });

  test("takes part once it was right on days before", () => {
    // It knows the future: nobody misses less.
    const days = Array.from({ length: 15 }, (_, ago) => {
      const originUs = endUs(known) - ago * DAY_US;
      return { originUs, hourly: byHour(cutSeries(month, originUs, originUs + DAY_US).values) };
    });
    const forecast = fitForecast(known, { supplied: { prophet: days } });
    expect(forecast.weights["prophet"]).toBeGreaterThan(0.9);
    const once = fitForecast(known, { supplied: { prophet: days.slice(0, 1) } });
    expect(once.weights).not.toHaveProperty("prophet");
  });

  test("stands alone where it alone is asked for", () => {
    const forecaster = new Forecaster(known);
    forecaster.supply("prophet", endUs(known), day(600));
    const forecast = forecaster.at(endUs(known), { members: ["prophet"] });
    expect(forecast.method).toBe("prophet");
    expect(sum(forecast.mean)).toBeCloseTo(24 * 600, -1);
  });

  test.each([
    ["not numbers", Number.NaN, "NaN at hour 0"],
    ["negative", -3, "negative (-3.00) at hour 0"],
    ["absurd", 1e9, "over 20 times the recent maximum"],
  ])("that is %s is overruled and reported", (_, value, reason) => {
    const forecaster = new Forecaster(known);
    forecaster.supply("prophet", endUs(known), day(value));
    const forecast = forecaster.at(endUs(known), { members: ["prophet"] });
    expect(forecast.overruled?.join()).toContain(reason);
    expect(forecast.method).toBe("profile-level");
    expectSane(forecast);
  });
});

describe("known events", () => {
  const at = (day: number, hour = 0): string =>
    new Date((START_US + day * DAY_US + hour * HOUR_US) / 1000).toISOString();
  const parse = (...lines: readonly string[]) =>
    parseEvents(["start,end,name,factor", ...lines].join("\n"));
  const eventsOf = (...lines: readonly string[]) => {
    const events = parse(...lines);
    if (!events.ok) throw new Error(events.error.problem);
    return events.value;
  };

  test("multiply the hours that they cover by their factor", () => {
    const events = eventsOf(`${at(35, 6)},${at(35, 12)},sale,3`);
    const hours = byHour(fitForecast(known, { events }).mean);
    const plain = byHour(fitForecast(known).mean);
    expect((hours[8] as number) / (plain[8] as number)).toBeCloseTo(3, 0);
    expect((hours[2] as number) / (plain[2] as number)).toBeCloseTo(1, 1);
  });

  test("teach their factor by earlier ones of the same name", () => {
    const isHoliday = (t: number): boolean => [10, 24].includes(Math.floor(t / 24));
    const shape = (t: number): number => 900 * daily(t) * weekly(t) * (isHoliday(t) ? 0.4 : 1);
    const series = draw({ days: 35, stepMinutes: 5, perHour: shape });
    const rows = [10, 24, 35].map((day) => `${at(day)},${at(day + 1)},holiday,`);
    const ratio =
      sum(fitForecast(series, { events: eventsOf(...rows) }).mean) / sum(fitForecast(series).mean);
    expect(ratio).toBeGreaterThan(0.3);
    expect(ratio).toBeLessThan(0.55);
  });

  test("may follow each other under one name, and overlap under two", () => {
    const rows = [
      `${at(1)},${at(2)},sale,3`,
      `${at(1)},${at(3)},fair,2`,
      `${at(2)},${at(3)},sale,`,
    ];
    expect(eventsOf(...rows)).toHaveLength(3);
  });

  test.each([
    ["2026-01-02,2026-01-01,x,1", "line 2: it ends at 2026-01-01"],
    ["soon,2026-01-01,x,1", 'line 2: "soon" is no time'],
    ["2026-01-01,2026-01-02,,1", "line 2: no name"],
    ["2026-01-01,2026-01-02,x,-1", "line 2: factor -1 is negative"],
    ["2026-01-01,2026-01-02,x,1e9", "line 2: factor 1e9 is too large"],
    [
      "2026-01-05,2026-01-06,x,1\n2026-01-01,2026-01-02,x,1",
      "line 3: 2026-01-01T00:00:00Z is before",
    ],
    [
      "2026-01-01,2026-01-02,x,1\n2026-01-01,2026-01-02,x,1",
      'line 3: "x" overlaps itself at line 2',
    ],
    [
      "2026-01-01,2026-01-09,x,1\n2026-01-02,2026-01-03,y,2\n2026-01-08,2026-01-10,x,3",
      'line 4: "x" overlaps itself at line 2',
    ],
  ])("%s is refused", (line, reason) => {
    const events = parse(line);
    expect(events.ok ? "" : `line ${events.error.line}: ${events.error.problem}`).toContain(reason);
  });
});
