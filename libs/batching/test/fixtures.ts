/** Queue entries and profiles for tests. */

import type { Tier } from "@millrace/protocol";
import { Profile, type Queued } from "../src/index.ts";

let seq = 0;

export function entry(
  options: {
    readonly tier?: Tier;
    readonly deadlineUs?: number;
    readonly arrivedUs?: number;
    readonly rows?: number;
    readonly length?: number;
    readonly shapeKey?: number;
    readonly seq?: number;
    readonly remote?: boolean;
    readonly alone?: boolean;
  } = {},
): Queued {
  const tier = options.tier ?? 1;
  return {
    ingress: "ingress-1",
    arrivedUs: options.arrivedUs ?? 0,
    deadlineUs: options.deadlineUs ?? 1_000_000,
    predictedUs: 0,
    avoid: undefined,
    tier,
    ticket: {
      seq: options.seq ?? seq++,
      attempt: 0,
      tier,
      hedge: false,
      alone: options.alone ?? false,
      remote: options.remote ?? false,
      rows: options.rows ?? 1,
      length: options.length ?? 0,
      shapeKey: options.shapeKey ?? 0,
      remainingUs: 0,
      bodyBytes: 0,
      tail: new Uint8Array(16),
    },
  };
}

/** A device on which `rows` rows take `fixedUs` and `rowUs` a row. */
export function linear(fixedUs: number, rowUs: number): Profile {
  const profile = new Profile();
  for (let rows = 1; rows <= 64; rows *= 2) profile.observe(rows, fixedUs + rowUs * rows);
  return profile;
}
