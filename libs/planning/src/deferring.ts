/**
 * Moves work that may wait into the troughs: the lowest level to which the fleet must be filled up,
 * step by step, so that the time its workers have left over the horizon is enough for that work.
 */

/** Share of the left-over capacity that deferred work can use, between slices of urgent work. */
export const FILL_SHARE = 0.9;

export interface TroughStep {
  /** Workers that the urgent load needs. */
  readonly workers: number;
  /** Of them, workers' worth of time without urgent work. */
  readonly free: number;
  /** Workers that may be added for the work; as many as the level has room for unless given. */
  readonly most?: number;
}

/** Workers to add, so that there are `level` of them. */
const upTo = (level: number, { most = Number.POSITIVE_INFINITY, workers }: TroughStep): number =>
  Math.max(0, Math.min(most, level - workers));

/**
 * @param work in worker-steps; the horizon is as long as the work may wait.
 * @param levelMax workers at most.
 * @returns workers to add per step, and the work that even the highest level leaves undone.
 */
export function fillTroughs(
  steps: readonly TroughStep[],
  work: number,
  levelMax: number,
): { readonly added: readonly number[]; readonly undone: number } {
  const room = (level: number): number =>
    steps.reduce((sum, step) => sum + FILL_SHARE * (step.free + upTo(level, step)), 0);
  let low = 0;
  let high = levelMax;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (room(middle) >= work) high = middle;
    else low = middle + 1;
  }
  const added = steps.map((step) => upTo(low, step));
  takeBack(steps, added, Math.floor(Math.max(0, room(low) - work) / FILL_SHARE));
  return { added, undone: Math.max(0, work - room(low)) };
}

/** Work of which so much is to be done within the first so many steps. */
export interface DueWork {
  readonly withinSteps: number;
  readonly work: number;
}

/**
 * The same where work is due at different times: what is due first is given room first, so that
 * work which waits for a trough is not put off again by each new plan. Work is taken to be there
 * from the first step on.
 */
export function fillByDue(
  steps: readonly TroughStep[],
  due: readonly DueWork[],
  levelMax: number,
): { readonly added: readonly number[]; readonly undone: number } {
  const added = steps.map(() => 0);
  let total = 0;
  let undone = 0;
  for (const { withinSteps, work } of due.toSorted((a, b) => a.withinSteps - b.withinSteps)) {
    total += work;
    const raised = steps.slice(0, withinSteps).map(({ free, most, workers }, at): TroughStep => {
      const more = added[at] ?? 0;
      const left = most === undefined ? {} : { most: most - more };
      return { workers: workers + more, free: free + more, ...left };
    });
    const filled = fillTroughs(raised, total, levelMax);
    for (const [at, more] of filled.added.entries()) added[at] = (added[at] ?? 0) + more;
    undone = Math.max(undone, filled.undone);
  }
  return { added, undone };
}

/** The last level is seldom needed in every step: the deepest troughs keep it. */
function takeBack(steps: readonly TroughStep[], added: number[], spare: number): void {
  const filled = steps.flatMap(({ workers, free }, at) =>
    (added[at] ?? 0) > 0 ? [{ at, busy: workers - free }] : [],
  );
  filled.sort((a, b) => b.busy - a.busy || b.at - a.at);
  for (const { at } of filled.slice(0, spare)) added[at] = (added[at] ?? 0) - 1;
}
