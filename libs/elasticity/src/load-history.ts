/**
 * The load of every model in steps of five minutes, from load facts as they come in. A step is
 * counted where any fact lies in it or somebody was there to count; else it is missing.
 */

import type { Series } from "@millrace/load-facts";
import type { LoadFact } from "@millrace/protocol";
import { present } from "@millrace/std";

const STEP_US = 300_000_000;
/** Six weeks, and what a longer season would add is not worth its memory. */
const STEPS_MAX = 42 * 288;
/** I6: models beyond are not forecast. */
const MODELS_MAX = 1_000;
/** A fact that comes later than this after its time changes nothing that was used. */
const SETTLED_US = 90_000_000;

/** What may be told apart: all of a model's load, what is urgent of it, and what may wait. */
export type LoadPart = "all" | "urgent" | "batch";

interface Sums {
  readonly arrivals: number;
  readonly rows: number;
  /** Of them, of priority batch. */
  readonly batchArrivals: number;
  readonly batchRows: number;
  readonly batchServed: number;
}

const NOTHING: Sums = { arrivals: 0, rows: 0, batchArrivals: 0, batchRows: 0, batchServed: 0 };

interface Counted {
  readonly steps: Map<number, Sums>;
  /** Before its first request a model was not idle: it was not there. */
  firstStep: number;
}

export interface ModelHistory {
  readonly series: Series;
  readonly rowsPerRequest: number;
  /** Requests a second: the mean of the last fifteen minutes, and the most of any step. */
  readonly lastPerSecond: number;
  readonly mostPerSecond: number;
}

export class LoadHistory {
  readonly #models = new Map<string, Counted>();
  readonly #counted = new Set<number>();
  #firstStep = Number.POSITIVE_INFINITY;

  /** Each fact once. */
  add({ model, atUs, arrivals, priority, rows, served }: LoadFact): void {
    let counted = this.#models.get(model);
    if (counted === undefined) {
      if (this.#models.size >= MODELS_MAX) return;
      counted = { steps: new Map(), firstStep: Number.POSITIVE_INFINITY };
      this.#models.set(model, counted);
    }
    const { steps } = counted;
    const step = Math.floor(atUs / STEP_US);
    counted.firstStep = Math.min(counted.firstStep, step);
    const sums = steps.get(step) ?? NOTHING;
    const isBatch = priority === "batch";
    steps.set(step, {
      arrivals: sums.arrivals + arrivals,
      rows: sums.rows + rows,
      batchArrivals: sums.batchArrivals + (isBatch ? arrivals : 0),
      batchRows: sums.batchRows + (isBatch ? rows : 0),
      batchServed: sums.batchServed + (isBatch ? served : 0),
    });
    this.#note(step);
  }

  /** Somebody was counting at this time: a model without facts had no requests. */
  alive(nowUs: number): void {
    this.#note(Math.floor(nowUs / STEP_US));
  }

  get models(): readonly string[] {
    return [...this.#models.keys()];
  }

  /** Up to the last step that is over and settled; undefined without one that the model is in. */
  of(model: string, nowUs: number, part: LoadPart = "all"): ModelHistory | undefined {
    const counted = this.#models.get(model);
    const end = Math.floor((nowUs - SETTLED_US) / STEP_US);
    if (counted === undefined || end <= counted.firstStep) return undefined;
    const { steps } = counted;
    const first = Math.max(this.#firstStep, counted.firstStep, end - STEPS_MAX);
    const values: number[] = [];
    let most = 0;
    let arrivals = 0;
    let rows = 0;
    let isThere = false;
    for (let step = first; step < end; step++) {
      const sums = steps.get(step);
      isThere ||= sums !== undefined;
      const counts = partOf(sums ?? NOTHING, part);
      const isMissing = sums === undefined && !this.#counted.has(step);
      values.push(isMissing ? Number.NaN : counts.count);
      most = Math.max(most, counts.count);
      arrivals += counts.arrivals;
      rows += counts.rows;
    }
    if (!isThere) return undefined;
    const last = values.slice(-3).filter((value) => !Number.isNaN(value));
    const perSecond = STEP_US / 1_000_000;
    return {
      series: { startUs: first * STEP_US, stepUs: STEP_US, values },
      rowsPerRequest: rows === 0 || arrivals === 0 ? 1 : rows / arrivals,
      lastPerSecond:
        last.reduce((sum, value) => sum + value, 0) / Math.max(1, last.length) / perSecond,
      mostPerSecond: most / perSecond,
    };
  }

  /**
   * Drops what is before the last six weeks that were counted (I6). No clock is asked: one that is
   * set wrong for a moment would erase everything.
   */
  forget(): void {
    if (this.#counted.size <= STEPS_MAX) return;
    const counted = [...this.#counted].sort((a, b) => b - a);
    const oldest = present(counted[STEPS_MAX - 1], "the first step that is kept");
    const models = [...this.#models.values()].map(({ steps }) => steps);
    for (const steps of [...models, this.#counted]) {
      for (const step of steps.keys()) if (step < oldest) steps.delete(step);
    }
    for (const [model, { steps }] of this.#models) {
      if (steps.size === 0) this.#models.delete(model);
    }
    this.#firstStep = Math.max(this.#firstStep, oldest);
  }

  #note(step: number): void {
    this.#counted.add(step);
    this.#firstStep = Math.min(this.#firstStep, step);
  }
}

/** What was asked of batch counts when it is served: items of jobs are asked again until then. */
function partOf(sums: Sums, part: LoadPart): { count: number; arrivals: number; rows: number } {
  const { arrivals, batchArrivals, batchRows, batchServed, rows } = sums;
  switch (part) {
    case "all":
      return { count: arrivals, arrivals, rows };
    case "batch":
      return { count: batchServed, arrivals: batchArrivals, rows: batchRows };
    case "urgent": {
      const urgent = arrivals - batchArrivals;
      return { count: urgent, arrivals: urgent, rows: rows - batchRows };
    }
  }
}
