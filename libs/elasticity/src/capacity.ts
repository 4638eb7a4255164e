/**
 * What one worker can do of a model, from the times that warm-up and traffic measured: the most
 * rows a second among the batch sizes that leave the objective room for waiting.
 */

export interface Timed {
  readonly rows: number;
  readonly us: number;
}

/**
 * A request waits for the batch before its own and is then in one: two batches fit the objective.
 * The smallest batch counts where none does: it is the best that can be had.
 * @returns rows per second; 0 without a measurement.
 */
export function rowsPerSecond(times: readonly Timed[], objectiveUs: number): number {
  let best = 0;
  let smallest: Timed | undefined;
  for (const timed of times) {
    if (timed.rows <= 0 || timed.us <= 0) continue;
    if (smallest === undefined || timed.rows < smallest.rows) smallest = timed;
    if (2 * timed.us > objectiveUs) continue;
    best = Math.max(best, rate(timed));
  }
  if (best > 0 || smallest === undefined) return best;
  return rate(smallest);
}

const rate = ({ rows, us }: Timed): number => (rows * 1_000_000) / us;
