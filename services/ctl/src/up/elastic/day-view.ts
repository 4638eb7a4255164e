/** An accelerated day for people: what is asked, what there is, why, and what it costs so far. */

import type { Bus } from "@millrace/bus";
import { cheapestOffer, MICROS, offerKey, type PriceBook } from "@millrace/costing";
import type { FleetMember } from "@millrace/fleet";
import { DAY_US, type Series } from "@millrace/load-facts";
import { decodeJson } from "@millrace/protocol";
import { formatTable } from "@millrace/std";
import * as v from "valibot";
import type { Played } from "./player.ts";
import { DAY_KIND } from "./prices.ts";

export interface Costs {
  readonly micros: number;
  /** A fleet for the busiest step, known in advance, on demand, all the time. */
  readonly staticMicros: number;
}

const decisionSchema = v.object({
  kind: v.string(),
  wanted: v.number(),
  because: v.string(),
  floor: v.number(),
  ready: v.number(),
  load: v.number(),
});
export type DayDecision = v.InferOutput<typeof decisionSchema>;

const statsSchema = v.object({
  name: v.literal("forecaster"),
  endpoints: v.array(v.object({ data: v.object({ kinds: v.array(decisionSchema) }) })),
});

export interface Look {
  readonly atUs: number;
  /** Real seconds until the day begins; 0 or less once it has. */
  readonly beginsInS: number;
  readonly offeredPerSecond: number;
  readonly members: readonly FleetMember[];
  readonly decision: DayDecision | undefined;
  readonly played: Played;
  readonly costs: Costs;
}

const HOUR_US = 3_600_000_000;
const ASK_MS_MAX = 500;
/** A sample of the curves for every so long, at most a terminal's width of them. */
const CURVE_STEP_US = DAY_US / 72;

export class Accounts {
  readonly #prices: PriceBook;
  /** For the busiest step at 90 % use, two at least. */
  readonly staticWorkers: number;
  readonly #perHour = new Map<string, number>();
  readonly #curve: { readonly offered: number; readonly workers: number }[] = [];
  #micros = 0;
  #staticMicros = 0;
  #workerUs = 0;
  #nextUs = 0;

  constructor(options: {
    readonly prices: PriceBook;
    readonly load: Series;
    /** Requests a second of the day's clock. */
    readonly perWorker: number;
  }) {
    const { load, perWorker, prices } = options;
    this.#prices = prices;
    const most = Math.max(...load.values.filter((value) => !Number.isNaN(value)));
    this.staticWorkers = Math.max(2, Math.ceil(most / (load.stepUs / 1_000_000) / perWorker / 0.9));
    for (const offer of prices.offers) this.#perHour.set(offerKey(offer), offer.microsPerHour);
  }

  get costs(): Costs {
    return { micros: this.#micros, staticMicros: this.#staticMicros };
  }

  /** Workers there on average, over the time that passed. */
  get workerHours(): number {
    return this.#workerUs / HOUR_US;
  }

  get curve(): readonly { readonly offered: number; readonly workers: number }[] {
    return this.#curve;
  }

  /** Whoever is there is paid for, whether ready or not. */
  pass(members: readonly FleetMember[], us: number): void {
    const hours = us / HOUR_US;
    for (const member of members) {
      this.#micros += (this.#perHour.get(offerKey(member)) ?? 0) * hours;
      this.#workerUs += us;
    }
    const onDemand = cheapestOffer(this.#prices, DAY_KIND, "on-demand")?.microsPerHour ?? 0;
    this.#staticMicros += this.staticWorkers * onDemand * hours;
  }

  note({ atUs, members, offeredPerSecond }: Look): void {
    if (atUs < this.#nextUs) return;
    this.#nextUs = atUs + CURVE_STEP_US;
    this.#curve.push({ offered: offeredPerSecond, workers: members.length });
  }

  /** What the forecaster decided last; undefined while it does not answer. */
  async decision(bus: Bus): Promise<DayDecision | undefined> {
    try {
      const options = { timeout: ASK_MS_MAX };
      const reply = await bus.connection.request("$SRV.STATS.forecaster", "", options);
      const stats = decodeJson(statsSchema, reply.data);
      if (!stats.ok) return undefined;
      return stats.value.endpoints[0]?.data.kinds.find(({ kind }) => kind === DAY_KIND);
    } catch {
      return undefined;
    }
  }
}

export function renderDay(look: Look): string {
  const { atUs, beginsInS, costs, decision, members, offeredPerSecond, played } = look;
  const { p99Ms } = played;
  const count = (state: string, lifecycle: string): number =>
    members.filter((each) => each.state === state && each.lifecycle === lifecycle).length;
  const spread = (["on-demand", "spot"] as const).map((lifecycle) => [
    lifecycle,
    count("ready", lifecycle),
    count("starting", lifecycle),
    count("draining", lifecycle),
  ]);
  const why =
    decision === undefined
      ? "the forecaster has not spoken yet"
      : `${decision.wanted} wanted (${decision.because}), ${decision.ready} take work; ` +
        `the plan asks for ${decision.floor}; the load is that of ${decision.load.toFixed(1)}`;
  if (beginsInS > 0) {
    return [
      `${timeOf(atUs)}  the day begins in ${beginsInS} s`,
      `workers (emulated devices): ${why}`,
      "",
      formatTable([["", "RUNNING", "STARTING", "DRAINING"], ...spread]),
    ].join("\n");
  }
  return [
    `${timeOf(atUs)}  ${offeredPerSecond.toFixed(0)} requests/s offered, ` +
      `p99 ${p99Ms === undefined ? "-" : `${p99Ms.toFixed(0)} ms`}, ` +
      `${played.sent} sent, ${played.failed} failed, ${played.slow} slow`,
    `workers (emulated devices): ${why}`,
    "",
    formatTable([["", "RUNNING", "STARTING", "DRAINING"], ...spread]),
    "",
    `cost so far ${money(costs.micros)}, a static fleet for the peak ${money(costs.staticMicros)}` +
      ` (${share(costs)})`,
  ].join("\n");
}

/** What the day is judged by, as shares of the requests. */
const FAILED_SHARE_MAX = 0.0001;
const SLOW_SHARE_MAX = 0.01;

export interface DayOver {
  readonly startUs: number;
  readonly endUs: number;
  /** False where it was stopped. */
  readonly isWhole: boolean;
  readonly objectiveMs: number;
}

export function renderEnd(played: Played, accounts: Accounts, over: DayOver): string {
  const { costs, curve, staticWorkers, workerHours } = accounts;
  const { endUs, isWhole, objectiveMs, startUs } = over;
  const hours = Math.max(0, endUs - startUs) / HOUR_US;
  const percent = (part: number): string =>
    `${((100 * part) / Math.max(1, played.sent)).toFixed(3)} %`;
  const reasons = Object.entries(played.reasons)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(", ");
  const ended = isWhole ? "is over" : `was stopped at ${timeOf(endUs)}`;
  return [
    "",
    `The day that began at ${timeOf(startUs)} ${ended}.`,
    "",
    `load     ${sparkline(curve.map(({ offered }) => offered))}`,
    `workers  ${sparkline(curve.map(({ workers }) => workers))}`,
    "",
    formatTable([
      ["requests", String(played.sent)],
      [
        "failed",
        `${played.failed} (${percent(played.failed)})${reasons === "" ? "" : `: ${reasons}`}`,
      ],
      [`slower than ${objectiveMs} ms`, `${played.slow} (${percent(played.slow)})`],
      ["worker-hours", `${workerHours.toFixed(1)}, static ${(staticWorkers * hours).toFixed(1)}`],
      [
        "cost",
        `${money(costs.micros)}, static ${money(costs.staticMicros)}: ${share(costs)} of it`,
      ],
    ]),
    "",
    `static: ${staticWorkers} workers on demand all day, for the busiest five minutes at 90 % use`,
    verdict(played, objectiveMs),
    "",
  ].join("\n");
}

function verdict({ failed, sent, slow }: Played, objectiveMs: number): string {
  const objective =
    `objective: at most ${100 * FAILED_SHARE_MAX} % failed and ` +
    `${100 * SLOW_SHARE_MAX} % slower than ${objectiveMs} ms`;
  if (sent === 0) return `${objective}: nothing was asked`;
  const missed = [
    ...(failed > FAILED_SHARE_MAX * sent ? ["too many failed"] : []),
    ...(slow > SLOW_SHARE_MAX * sent ? ["too many were slow"] : []),
  ];
  return `${objective}: ${missed.length === 0 ? "held" : `missed, ${missed.join(" and ")}`}`;
}

const BARS = "▁▂▃▄▅▆▇█";

function sparkline(values: readonly number[]): string {
  const most = Math.max(...values, 1);
  return values
    .map((value) => BARS[Math.min(BARS.length - 1, Math.round((value / most) * (BARS.length - 1)))])
    .join("");
}

const timeOf = (us: number): string =>
  new Date(us / 1000).toISOString().slice(0, 16).replace("T", " ");

const money = (micros: number): string => `${(micros / MICROS).toFixed(2)} USD`;

const share = ({ micros, staticMicros }: Costs): string =>
  `${staticMicros === 0 ? "-" : ((100 * micros) / staticMicros).toFixed(0)} %`;
