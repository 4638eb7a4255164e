/** The three tiers of work, in the order in which they are served. */

export const PRIORITIES = ["realtime", "standard", "batch"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** A tier's place in {@link PRIORITIES}: 0 is served first. */
export type Tier = 0 | 1 | 2;

export const priorityOf = (tier: Tier): Priority => PRIORITIES[tier];
