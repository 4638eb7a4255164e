/** The pools of the conformance suite. */

import type { Pool } from "../src/index.ts";

export const POOLS: readonly [Pool, Pool, Pool] = [
  { kind: "gpu", zone: "east", lifecycle: "on-demand" },
  { kind: "gpu", zone: "east", lifecycle: "spot" },
  { kind: "cpu", zone: "west", lifecycle: "on-demand" },
];
