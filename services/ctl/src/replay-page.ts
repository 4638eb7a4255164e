/** A replay as one HTML file: the table, and load, fleet, utilisation and cost over time. */

import type { PolicyRun, Slice } from "@millrace/replay";
import { type Block, type Cell, htmlPage, type Series, svgChart } from "@millrace/report";
import {
  describeAssumptions,
  describeFactors,
  describeRemarks,
  describeUntried,
  meetsObjective,
  type ShownReplay,
  TRIAL_COLUMNS,
  trialCells,
  TRIALS_TITLE,
} from "./replay-table.ts";

const WIDTH = 1_000;
const HEIGHT = 300;
const MICROS = 1_000_000;
const SLICE_US = 300_000_000;
/** Beyond these a chart's lines are finer than its pixels. */
const POINTS_MAX = 1_000;

export function replayPage(shown: ShownReplay): string {
  const { name, result } = shown;
  const { runs, rows } = result;
  const best = rows.filter(meetsObjective).toSorted((a, b) => a.costRatio - b.costRatio)[0];
  const summary =
    best === undefined
      ? ({ text: "no policy meets the objective", tone: "bad" } as const)
      : ({
          text: `${best.policy} meets the objective at ${percent(best.costRatio, 1)} of the static peak fleet`,
          tone: "good",
        } as const);
  const notes = [...describeAssumptions(shown), ...describeRemarks(result)];
  const untried = textBlocks(describeUntried(result));
  const planned = runs.filter(({ policy }) => policy.scaling === "planned");
  return htmlPage({
    title: `Replay of ${name}`,
    summary,
    sections: [
      { title: "Policies", blocks: [policyBlock(shown), ...textBlocks(describeFactors(shown))] },
      { title: capitalized(TRIALS_TITLE), blocks: [trialBlock(shown), ...untried] },
      { title: "Load and forecast", blocks: [forecastChart(shown)] },
      { title: "Cost so far", blocks: [costChart(shown)] },
      ...planned.map((run) => ({
        title: `${run.policy.name}: ${run.policy.description}`,
        blocks: [loadChart(shown, run), fleetChart(shown, run), utilisationChart(shown, run)],
      })),
      { title: "What was assumed", blocks: textBlocks(notes) },
    ],
  });
}

const capitalized = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

const textBlocks = (lines: readonly string[]): Block[] =>
  lines.map((text) => ({ type: "text", text }));

const percent = (share: number, digits: number): string => `${(share * 100).toFixed(digits)} %`;

function policyBlock({ result }: ShownReplay): Block {
  return {
    type: "table",
    head: [
      "policy",
      "cost $",
      "of static %",
      "failed %",
      "slow %",
      "utilisation %",
      "objective",
      "spot taken back",
      "what it does",
    ],
    rows: result.rows.map((row, at): Cell[] => {
      const run = result.runs[at];
      const met = meetsObjective(row);
      return [
        row.policy,
        row.cost.toFixed(2),
        (row.costRatio * 100).toFixed(1),
        (row.failedShare * 100).toFixed(4),
        (row.slowShare * 100).toFixed(3),
        (row.utilisation * 100).toFixed(1),
        { text: met ? "met" : "missed", tone: met ? "good" : "bad" },
        run?.interruptions ?? 0,
        run?.policy.description ?? "",
      ];
    }),
  };
}

const trialBlock = ({ result }: ShownReplay): Block => ({
  type: "table",
  head: TRIAL_COLUMNS,
  rows: trialCells(result),
});

/** Points of a figure over time: means, or the last of each stretch for what only grows. */
function pointsOf(
  { result: { world } }: ShownReplay,
  run: PolicyRun,
  figure: (slice: Slice) => number,
  take: "mean" | "max" | "last" = "mean",
): [number, number][] {
  const { timeline } = run;
  const per = Math.max(1, Math.ceil(timeline.length / POINTS_MAX));
  const points: [number, number][] = [];
  for (let from = 0; from < timeline.length; from += per) {
    const values = timeline.slice(from, from + per).map(figure);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const value = { mean, max: Math.max(...values), last: values.at(-1) ?? 0 }[take];
    points.push([world.window.fromUs + from * SLICE_US, value]);
  }
  return points;
}

function chart(title: string, label: string, series: readonly Series[]): Block {
  const svg = svgChart({
    title,
    width: WIDTH,
    height: HEIGHT,
    x: { kind: "time", label: "" },
    y: { kind: "linear", label },
    series,
  });
  const names = series.map((each) => each.name).join(", ");
  return { type: "chart", svg, alternative: `${title}: ${names} over time` };
}

const costChart = (shown: ShownReplay): Block =>
  chart(
    "Cost so far",
    "dollars",
    shown.result.runs.map((run) => ({
      name: run.policy.name,
      kind: "line",
      points: pointsOf(shown, run, ({ micros }) => micros / MICROS, "last"),
    })),
  );

/** The band is what each hour was expected to bring, by the forecast that held then. */
function forecastChart(shown: ShownReplay): Block {
  const { world, runs } = shown.result;
  const [run] = runs;
  if (run === undefined) return { type: "text", text: "no policy was replayed" };
  const load = pointsOf(shown, run, (slice) => slice.load, "max");
  const band = load.map(([atUs]): [number, number, number] => {
    const { startUs, stepUs, mean, peak } = world.rolling.at(atUs);
    const step = Math.floor((atUs - startUs) / stepUs);
    return [atUs, mean[step] ?? Number.NaN, peak[step] ?? Number.NaN];
  });
  const quantile = `forecast, mean to ${percent(world.settings.quantile, 0)} quantile of the peak`;
  return chart("Load and forecast", "requests/s", [
    { name: quantile, kind: "range", points: band },
    { name: "load, highest five minutes", kind: "line", points: load },
  ]);
}

function loadChart(shown: ShownReplay, run: PolicyRun): Block {
  const { settings, kind } = shown.result.world;
  const perWorker = settings.perWorkerPerSecond * (kind.throughput.get(run.policy.variant) ?? 1);
  return chart("Load and what the fleet can do", "requests/s", [
    { name: "capacity paid", kind: "step", points: pointsOf(shown, run, capacityOf(perWorker)) },
    {
      name: "floor set by the forecast",
      kind: "step",
      points: pointsOf(shown, run, ({ floorWorkers }) => floorWorkers * perWorker),
    },
    { name: "load", kind: "line", points: pointsOf(shown, run, ({ load }) => load, "max") },
  ]);
}

const capacityOf =
  (perWorker: number) =>
  ({ onDemand, spot }: Slice): number =>
    (onDemand + spot) * perWorker;

const fleetChart = (shown: ShownReplay, run: PolicyRun): Block =>
  chart("Fleet by lifecycle", "workers", [
    { name: "on demand", kind: "step", points: pointsOf(shown, run, ({ onDemand }) => onDemand) },
    { name: "spot", kind: "step", points: pointsOf(shown, run, ({ spot }) => spot) },
  ]);

const utilisationChart = (shown: ShownReplay, run: PolicyRun): Block =>
  chart("Utilisation of what is paid", "per cent", [
    {
      name: "utilisation",
      kind: "line",
      points: pointsOf(shown, run, ({ utilisation }) => utilisation * 100),
    },
  ]);
