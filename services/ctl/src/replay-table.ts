/** A replay for the terminal: what was assumed, a row per policy, and the saving by its factors. */

import { formatTimestamp } from "@millrace/load-facts";
import {
  FAILED_WAIT_SECONDS,
  PEAK_QUANTILE,
  PEAK_UTILISATION,
  type Replay,
  type ReplayRow,
  SLOW_WAIT_SECONDS,
  STRETCH_REQUESTS_MAX,
  TICK_US,
  type Trial,
} from "@millrace/replay";
import { formatTable } from "@millrace/std";

export interface ShownReplay {
  readonly name: string;
  readonly result: Replay;
  /** Requests per second batched over unbatched on the same device, where it was measured. */
  readonly gain: number | undefined;
  readonly tookSeconds: number;
}

/** What every policy is held to. */
export const FAILED_SHARE_MAX = 0.0001;
export const SLOW_SHARE_MAX = 0.01;

export const meetsObjective = ({ failedShare, slowShare }: ReplayRow): boolean =>
  failedShare <= FAILED_SHARE_MAX && slowShare <= SLOW_SHARE_MAX;

const HOUR_US = 3_600_000_000;
const COLUMNS = ["policy", "cost $", "of static", "failed", "slow", "utilisation", "objective"];

export function describeReplay(shown: ShownReplay): string {
  const { result, tookSeconds } = shown;
  const ticks = result.world.arrivals.length * result.rows.length;
  const lines = [...describeAssumptions(shown), "", policyTable(result)];
  lines.push("", TRIALS_TITLE, trialTable(result), ...describeUntried(result));
  const remarks = describeRemarks(result);
  if (remarks.length > 0) lines.push("", ...remarks);
  const factors = describeFactors(shown);
  if (factors.length > 0) lines.push("", ...factors);
  lines.push("", `${ticks} ticks in ${tookSeconds.toFixed(1)} s`);
  return lines.join("\n");
}

export function describeAssumptions({ name, result: { world } }: ShownReplay): string[] {
  const { settings, window, prices, market, kind } = world;
  const { onDemandShareMin, overProvision, zoneShareMax } = settings.spot;
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  const span = spanOf(window.toUs - window.fromUs);
  const speedup = kind.throughput.get("int8") ?? 1;
  return [
    `${name}: ${span} from ${formatTimestamp(window.fromUs)}, in ticks of ${TICK_US / 1e6} s`,
    ...(window.leftOutUs === 0 ? [] : [describeLeftOut(window.leftOutUs)]),
    `forecast: ${describeMethods(world.rolling.methods())}`,
    `load: scaled so that its P${PEAK_QUANTILE * 100} minute fills ${settings.peakWorkers} ` +
      `${kind.kind} to ${percent(PEAK_UTILISATION)}, ${settings.perWorkerPerSecond} requests/s each; ` +
      `single arrivals drawn (seed ${settings.seed})`,
    `prices: ${prices.name} (${prices.source})`,
    `spot: ${market.description}; ${market.noticeUs / 1e6} s notice`,
    `workers: ready ${settings.startUpSeconds} s after their order, at least ` +
      `${settings.follow.workersMin}; ${percent(onDemandShareMin)} on demand, ` +
      `${percent(overProvision)} spare, at most ${percent(zoneShareMax)} of the spot in a zone`,
    `work: ${percent(settings.deferrableShare)} may wait ${settings.deferrableHours} h where a policy ` +
      `defers; INT8 is ${speedup} times as fast`,
    `objective: at most ${FAILED_SHARE_MAX * 100} % failed (waited over ${FAILED_WAIT_SECONDS} s) and ` +
      `${SLOW_SHARE_MAX * 100} % slow (over ${SLOW_WAIT_SECONDS} s)`,
  ];
}

const describeLeftOut = (us: number): string =>
  `left out: ${spanOf(us)}, so that no step is replayed that nobody counted; ` +
  "this is the longest stretch between gaps";

function spanOf(us: number): string {
  const hours = us / HOUR_US;
  return hours < 48 ? `${hours.toFixed(1)} hours` : `${(hours / 24).toFixed(1)} days`;
}

/** Methods other than the ensemble mean that the history was too short for it. */
function describeMethods(methods: ReadonlyMap<string, number>): string {
  if (methods.size === 0) return "none made";
  const total = [...methods.values()].reduce((sum, count) => sum + count, 0);
  return [...methods]
    .sort(([, a], [, b]) => b - a)
    .map(([method, count]) => {
      const what = method === "none" ? "none (no history: the first minutes' rate)" : method;
      return `${what} ${((count / total) * 100).toFixed(0)} %`;
    })
    .join(", ");
}

const share = (value: number, digits: number): string => `${(value * 100).toFixed(digits)} %`;

function policyTable({ rows }: Replay): string {
  const cells = rows.map((row) => [
    row.policy,
    row.cost.toFixed(2),
    share(row.costRatio, 1),
    share(row.failedShare, 4),
    share(row.slowShare, 3),
    share(row.utilisation, 1),
    meetsObjective(row) ? "met" : "missed",
  ]);
  return figuresTable([COLUMNS, ...cells], 6);
}

export const TRIALS_TITLE =
  "worst minutes, request by request through the real scheduler (and by the fluid queue)";
export const TRIAL_COLUMNS = ["policy", "from", "seconds", "requests", "failed", "slow"];

const trialTable = (result: Replay): string =>
  figuresTable([TRIAL_COLUMNS, ...trialCells(result)], TRIAL_COLUMNS.length);

/** A row for each policy, under `TRIAL_COLUMNS`. */
export function trialCells(result: Replay): string[][] {
  const beside = (real: number, fluid: number, of: number): string =>
    `${share(real / of, 2)} (${share(fluid / of, 2)})`;
  return result.runs.map(({ policy, trial }) => {
    if (trial === undefined) return [policy.name, ...TRIAL_COLUMNS.slice(1).map(() => "-")];
    const { fluid, scheduler } = trial;
    return [
      policy.name,
      fromOf(result, trial),
      String(trial.seconds),
      String(scheduler.requests),
      beside(scheduler.failed, fluid.failed, scheduler.requests),
      beside(scheduler.slow, fluid.slow, scheduler.requests),
    ];
  });
}

export const describeUntried = ({ runs }: Replay): string[] =>
  runs.some(({ trial }) => trial === undefined)
    ? [`-: none to play: no requests, or over ${STRETCH_REQUESTS_MAX} in ${TICK_US / 1e6} s`]
    : [];

const fromOf = ({ world }: Replay, { fromSeconds }: Trial): string =>
  formatTimestamp(world.window.fromUs + fromSeconds * 1e6);

/** Figures, in the columns from the second to before `end`, line up at their right. */
function figuresTable(rows: readonly (readonly string[])[], end: number): string {
  const widths = (rows[0] ?? []).map((_, at) =>
    Math.max(...rows.map((row) => row[at]?.length ?? 0)),
  );
  return formatTable(
    rows.map((row) =>
      row.map((cell, at) => (at > 0 && at < end ? cell.padStart(widths[at] ?? 0) : cell)),
    ),
  );
}

export const describeRemarks = ({ runs }: Replay): string[] =>
  runs.flatMap(({ policy, remarks }) => remarks.map((remark) => `${policy.name}: ${remark}`));

const LADDER = [
  ["static-headroom", "static with 1.5 times the peak"],
  ["static-peak", "sized for the peak"],
  ["ours", "forecast and guard"],
  ["ours-spot", "spot"],
  ["ours-spot-batch", "deferrable work in the troughs"],
  ["ours-spot-batch-int8", "INT8"],
] as const;

/** The saving as a product, step by step; empty where a step was not replayed. */
export function describeFactors({ result, gain }: ShownReplay): string[] {
  const costs = LADDER.map(([name]) => result.rows.find(({ policy }) => policy === name)?.cost);
  const [first] = costs;
  const last = costs.at(-1);
  if (first === undefined || last === undefined || last === 0) return [];
  const factors: [string, number][] = [];
  for (let at = 1; at < LADDER.length; at++) {
    const [before, after] = [costs[at - 1], costs[at]];
    if (before === undefined || after === undefined || after === 0) return [];
    factors.push([LADDER[at]?.[1] ?? "", before / after]);
  }
  if (gain !== undefined) factors.unshift(["batching, as given", gain]);
  const product = factors.reduce((all, [, factor]) => all * factor, 1);
  const base =
    gain === undefined ? "static with 1.5x headroom" : "unbatched, 1.5x headroom, no spot";
  const steps = factors.map(([what, factor]) => `${factor.toFixed(2)} (${what})`).join(" x ");
  const lines = [`against ${base}: ${(100 / product).toFixed(1)} % of its cost = 1 / (${steps})`];
  if (gain === undefined) {
    lines.push(
      "an unbatched baseline costs --batching-gain times more; measure yours, it is not assumed",
    );
  }
  return lines;
}
