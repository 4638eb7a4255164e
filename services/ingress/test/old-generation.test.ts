/** Garbage of the old generation goes when there is much of it, and what is in use stays. */

import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test, vi } from "vitest";
import { boundOldGeneration } from "../src/old-generation.ts";

const MB = 1_000_000;

const usedBytes = (): number =>
  getHeapSpaceStatistics().find((space) => space.space_name === "old_space")?.space_used_size ?? 0;

/** So many objects that have survived two collections of the young generation. */
function promote(count: number): object[] {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (how: { readonly type: "minor" }) => void;
  const objects = Array.from({ length: count }, (_, at) => ({ at, more: [at, at] }));
  for (let times = 0; times < 2; times++) collect({ type: "minor" });
  return objects;
}

test("the old generation is collected when it has grown, and not before", async () => {
  using bound = boundOldGeneration({ lookMs: 20, grownBytesMax: 10 * MB });
  expect(bound).toBeDefined();
  const kept = promote(20_000);
  let dropped: object[] | undefined = promote(300_000);
  const grown = usedBytes();
  expect(dropped.length + kept.length).toBe(320_000);
  dropped = undefined;
  await vi.waitFor(() => expect(usedBytes()).toBeLessThan(grown - 15 * MB), { timeout: 5_000 });
  expect(kept[19_999]).toEqual({ at: 19_999, more: [19_999, 19_999] });
});
