/**
 * The load of every model in steps of five minutes, from load facts as they come in. A step is
 * counted where any fact lies in it or somebody was there to count; else it is missing.
 */

import type { Series } from "@millrace/load-facts";
import type { LoadFact } from "@millrace/protocol";

const STEP_US = 300_000_000;
/** Six weeks, and what a longer season would add is not worth its memory. */
const STEPS_MAX = 42 * 288;
/** I6: models beyond are not forecast. */
const MODELS_MAX = 1_000;
/** A fact that comes later than this after its time changes nothing that was used. */
const SETTLED_US = 90_000_000;

interface Sums {
  arrivals: number;
  rows: number;
}

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
  add({ model, atUs, arrivals, rows }: LoadFact): void {
    let counted = this.#models.get(model);
    if (counted === undefined) {
      if (this.#models.size >= MODELS_MAX) return;
      counted = { steps: new Map(), firstStep: Number.POSITIVE_INFINITY };
      this.#models.set(model, counted);
    }
    const { steps } = counted;
    const step = Math.floor(atUs / STEP_US);
    counted.firstStep = Math.min(counted.firstStep, step);
    const sums = steps.get(step) ?? { arrivals: 0, rows: 0 };
    steps.set(step, { arrivals: sums.arrivals + arrivals, rows: sums.rows + rows });
    this.#note(step);
  }

  /** Somebody was counting at this time: a model without facts had no requests. */
  alive(nowUs: number): void {
    this.#note(Math.floor(nowUs / STEP_US));
  }

  get models(): readonly string[] {
    return [...this.#models.keys()];
  }

  /** Up to the last step that is over and settled; undefined before there is one. */
  of(model: string, nowUs: number): ModelHistory | undefined {
    const counted = this.#models.get(model);
    const end = Math.floor((nowUs - SETTLED_US) / STEP_US);
    if (counted === undefined || end <= counted.firstStep) return undefined;
    const { steps } = counted;
    const first = Math.max(this.#firstStep, counted.firstStep, end - STEPS_MAX);
    const values: number[] = [];
    let most = 0;
    let arrivals = 0;
    let rows = 0;
    for (let step = first; step < end; step++) {
      const sums = steps.get(step);
      values.push(sums?.arrivals ?? (this.#counted.has(step) ? 0 : Number.NaN));
      most = Math.max(most, sums?.arrivals ?? 0);
      arrivals += sums?.arrivals ?? 0;
      rows += sums?.rows ?? 0;
    }
    const last = values.slice(-3).filter((value) => !Number.isNaN(value));
    const perSecond = STEP_US / 1_000_000;
    return {
      series: { startUs: first * STEP_US, stepUs: STEP_US, values },
      rowsPerRequest: rows === 0 ? 1 : rows / arrivals,
      lastPerSecond:
        last.reduce((sum, value) => sum + value, 0) / Math.max(1, last.length) / perSecond,
      mostPerSecond: most / perSecond,
    };
  }

  /** Drops what no forecast looks at any more. */
  forget(nowUs: number): void {
    const oldest = Math.floor(nowUs / STEP_US) - STEPS_MAX;
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
