/**
 * How many rows wait that are due before a deadline, to within 50 ms of it. Deadlines differ as
 * clients' timeouts do: to take them for spread evenly between the first and the last would have a
 * single long timeout hide what is really ahead.
 */

const SECOND_US = 1_000_000;
const STEP_US = 50_000;
const STEPS = SECOND_US / STEP_US;

export class DueRows {
  /** Rows by the second and by the step in which they are due: only one second is told apart. */
  readonly #seconds = new Map<number, number>();
  readonly #steps = new Map<number, number>();

  /** @param rows that come with this deadline; negative for those that go. */
  add(deadlineUs: number, rows: number): void {
    count(this.#seconds, Math.floor(deadlineUs / SECOND_US), rows);
    count(this.#steps, Math.floor(deadlineUs / STEP_US), rows);
  }

  /** Those of the deadline's own 50 ms are among them. */
  before(deadlineUs: number): number {
    const second = Math.floor(deadlineUs / SECOND_US);
    const step = Math.floor(deadlineUs / STEP_US);
    let sum = 0;
    for (const [at, rows] of this.#seconds) if (at < second) sum += rows;
    for (let at = second * STEPS; at <= step; at++) sum += this.#steps.get(at) ?? 0;
    return sum;
  }
}

function count(rows: Map<number, number>, at: number, more: number): void {
  const left = (rows.get(at) ?? 0) + more;
  if (left === 0) rows.delete(at);
  else rows.set(at, left);
}
