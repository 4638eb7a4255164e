/** When a webhook is sent again, and when no more. */

/** After so many tries it is given up: the job's record still says how it ended. */
export const HOOK_TRIES_MAX = 10;
const FIRST_US = 1_000_000;
const MOST_US = 3_600_000_000;
/** 1 s, 4 s, 16 s, 64 s, 4 min, 17 min, then hourly: four hours and a half in all. */
const FACTOR = 4;

/**
 * @param tries so far, at least 1.
 * @param chance in [0, 1): up to a fifth is drawn, so that many do not come at once.
 * @returns undefined when it is given up.
 */
export function hookDelayUs(tries: number, chance: number): number | undefined {
  if (tries >= HOOK_TRIES_MAX) return undefined;
  const fullUs = Math.min(MOST_US, FIRST_US * FACTOR ** Math.max(0, tries - 1));
  return Math.round(fullUs * (1 + 0.2 * chance));
}

/** A server that says it will never take this is not asked again: 410 alone says so for good. */
export const isDelivered = (status: number): boolean => status >= 200 && status < 300;
export const isRefusedForGood = (status: number): boolean => status === 410;
