/** Charts by what they draw: places of points, gaps, bands, bounds. */

import { describe, expect, test } from "vitest";
import { type ChartSpec, SERIES_MAX, svgChart } from "../src/index.ts";

const BASE: ChartSpec = {
  title: "Latency",
  width: 800,
  height: 300,
  x: { kind: "value", label: "seconds" },
  y: { kind: "linear", label: "ms" },
  series: [],
};

/** The y pixels of a path's points, in their order. */
const heightsOf = (svg: string): number[] =>
  [...svg.matchAll(/stroke-linejoin/g)].length === 0
    ? []
    : [
        ...(/<path d="([^"]*)" style="fill:none;stroke/.exec(svg)?.[1] ?? "").matchAll(
          /,([\d.]+)/g,
        ),
      ].map((hit) => Number(hit[1]));

describe("svgChart", () => {
  test("draws a greater value higher", () => {
    const svg = svgChart({
      ...BASE,
      series: [
        {
          name: "p99",
          kind: "line",
          points: [
            [0, 1],
            [1, 10],
            [2, 5],
          ],
        },
      ],
    });
    const [low, high, middle] = heightsOf(svg);
    expect(high).toBeLessThan(middle ?? 0);
    expect(middle).toBeLessThan(low ?? 0);
    expect(svg).toContain(">p99<");
  });

  test("puts equal ratios at equal distances on a log axis", () => {
    const svg = svgChart({
      ...BASE,
      y: { kind: "log", label: "ms" },
      series: [
        {
          name: "p99",
          kind: "line",
          points: [
            [0, 1],
            [1, 10],
            [2, 100],
          ],
        },
      ],
    });
    const [first = 0, second = 0, third = 0] = heightsOf(svg);
    expect(first - second).toBeCloseTo(second - third, 0);
  });

  test("keeps zero on the floor of a log axis", () => {
    const svg = svgChart({
      ...BASE,
      y: { kind: "log", label: "ms" },
      series: [
        {
          name: "failed",
          kind: "line",
          points: [
            [0, 0],
            [1, 5],
          ],
        },
      ],
    });
    expect(svg).not.toMatch(/NaN|Infinity/);
    expect(heightsOf(svg)[0]).toBe(300 - 44);
  });

  test("leaves a gap where there is no figure", () => {
    const points = [
      [0, 1],
      [1, 2],
      [2, NaN],
      [3, 1],
      [4, 2],
    ] as const;
    const svg = svgChart({ ...BASE, series: [{ name: "p50", kind: "line", points }] });
    const path = /<path d="([^"]*)" style="fill:none;stroke/.exec(svg)?.[1] ?? "";
    expect(path.match(/M/g)).toHaveLength(2);
    expect(svg).not.toContain("NaN");
  });

  test("shades a band over its stretch of the axis and says what it is", () => {
    const svg = svgChart({
      ...BASE,
      series: [
        {
          name: "p50",
          kind: "line",
          points: [
            [0, 1],
            [100, 1],
          ],
        },
      ],
      bands: [{ from: 25, to: 75, label: "kill <gpu-worker-1>" }],
    });
    const [, left, width] = /<\/title><rect x="([\d.]+)" y="\d+" width="([\d.]+)"/.exec(svg) ?? [];
    const axis = 800 - 58 - 14;
    expect(Number(left)).toBeCloseTo(58 + axis / 4, 0);
    expect(Number(width)).toBeCloseTo(axis / 2, 0);
    expect(svg).toContain("<title>kill &lt;gpu-worker-1&gt;</title>");
  });

  test("keeps a peak of one point among many", () => {
    const points = Array.from(
      { length: 100_000 },
      (_, at) => [at, at === 77_777 ? 50 : 1] as const,
    );
    const svg = svgChart({ ...BASE, series: [{ name: "max", kind: "line", points }] });
    const heights = heightsOf(svg);
    expect(heights.length).toBeLessThan(5_000);
    expect(Math.min(...heights)).toBeLessThan(60);
  });

  test("draws a chart without points", () => {
    expect(svgChart({ ...BASE, series: [{ name: "none", kind: "bar", points: [] }] })).not.toMatch(
      /NaN|Infinity|undefined/,
    );
  });

  test("reads a time axis as Unix microseconds in UTC", () => {
    const noonUs = Date.UTC(2026, 0, 1, 12) * 1000;
    const svg = svgChart({
      ...BASE,
      x: { kind: "time", label: "UTC" },
      series: [
        {
          name: "load",
          kind: "step",
          points: [
            [noonUs, 1],
            [noonUs + 3600e6, 2],
          ],
        },
      ],
    });
    expect(svg).toContain(">12:30<");
  });

  test("refuses more series than anybody can tell apart", () => {
    const one = { name: "one", kind: "line", points: [] } as const;
    const series = Array.from({ length: SERIES_MAX + 1 }, () => one);
    expect(() => svgChart({ ...BASE, series })).toThrow(/at most 16/);
  });
});
