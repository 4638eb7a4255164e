/** Whether a time has come, on a clock that may be set back. */

/** What lies further ahead than it was set was set by a clock that has gone back since. */
export const isDue = (atUs: number, aheadUs: number, nowUs: number): boolean =>
  nowUs >= atUs || atUs - nowUs > aheadUs;
