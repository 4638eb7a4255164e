/**
 * One fit of Prophet (Taylor and Letham 2018): augurs' port of the model with Prophet's own Stan
 * program, both in WebAssembly. It runs for tens of milliseconds and leaks: see `thread.ts`.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { initSync, Prophet } from "@bsull/augurs/prophet";
import { optimizer } from "@bsull/augurs-prophet-wasmstan";

/** What is fitted, and how far ahead is asked. */
export interface FitOrder {
  /** Unix seconds of the first value. */
  readonly startS: number;
  readonly stepS: number;
  /** At even steps; NaN where nothing was counted. */
  readonly values: readonly number[];
  readonly horizon: number;
  /** `multiplicative`: seasons scale the trend. `log`: additive on log(1 + value). */
  readonly mode: "multiplicative" | "log";
}

let isReady = false;

/**
 * The `horizon` values after the last, floored at 0.
 *
 * @throws Error where the optimiser finds no fit
 */
export function fitProphet(order: FitOrder): number[] {
  prepare();
  const { startS, stepS, values, horizon, mode } = order;
  const isLog = mode === "log";
  const known = values.flatMap((value, at) =>
    Number.isNaN(value) ? [] : [{ ds: startS + at * stepS, y: isLog ? Math.log1p(value) : value }],
  );
  // As Prophet does: the optimiser divides by the range, and cannot fit a load that never changes.
  const first = known[0]?.y;
  if (first !== undefined && known.length > 1 && known.every(({ y }) => y === first)) {
    return Array.from({ length: horizon }, () => (isLog ? Math.expm1(first) : first));
  }
  const prophet = new Prophet({
    optimizer,
    seasonalityMode: isLog ? "additive" : "multiplicative",
    yearlySeasonality: { type: "manual", enabled: false },
    // Intervals come from errors that were made, not from Prophet's own sampling.
    uncertaintySamples: 0,
  });
  try {
    prophet.fit({ ds: known.map(({ ds }) => ds), y: known.map(({ y }) => y) });
    const endS = startS + values.length * stepS;
    const ds = Array.from({ length: horizon }, (_, step) => endS + step * stepS);
    const { point } = prophet.predict({ ds }).yhat;
    return point.map((value) => Math.max(0, isLog ? Math.expm1(value) : value));
  } finally {
    prophet.free();
  }
}

/** The package's own `init` fetches a file address, which Node refuses. */
function prepare(): void {
  if (isReady) return;
  const module = new URL("prophet_bg.wasm", import.meta.resolve("@bsull/augurs/prophet"));
  initSync({ module: readFileSync(fileURLToPath(module)) });
  isReady = true;
}
