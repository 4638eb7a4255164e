/**
 * Seeded chance. Cores take one as a constructor argument; nothing else in a core may be random.
 */
export interface Random {
  /** Uniform in [0, 1). */
  readonly next: () => number;
  /** Uniform whole number in [0, below). */
  readonly below: (bound: number) => number;
  /** True with the given probability. */
  readonly chance: (probability: number) => boolean;
  /** Exponentially distributed with the given mean. */
  readonly exponential: (mean: number) => number;
  /** An independent stream, derived from this one. */
  readonly fork: () => Random;
}

/**
 * Mulberry32 (Tommy Ettinger, public domain): 32 bits of state, good enough to draw faults and
 * ties.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return {
    next,
    below: (bound) => Math.floor(next() * bound),
    chance: (probability) => next() < probability,
    exponential: (mean) => -Math.log(1 - next()) * mean,
    fork: () => seededRandom(Math.floor(next() * 4294967296)),
  };
}
