/** Learned times: what is estimated from what was measured. */

import { describe, expect, test } from "vitest";
import { Profile } from "../src/index.ts";

describe("profile", () => {
  test("an estimate is the largest of the recent times and the mean is their mean", () => {
    const profile = new Profile();
    for (const us of [100, 300, 200]) profile.observe(4, us);
    expect(profile.estimateUs(3)).toBe(300);
    expect(profile.meanUs(4)).toBe(200);
  });

  test("a stall is forgotten once sixteen newer batches were seen", () => {
    const profile = new Profile();
    profile.observe(1, 20_000);
    for (let at = 0; at < 15; at++) profile.observe(1, 100);
    expect(profile.estimateUs(1)).toBe(20_000);
    profile.observe(1, 100);
    expect(profile.estimateUs(1)).toBe(100);
  });

  test("an unseen size is read in proportion from below and as it is from above", () => {
    const profile = new Profile();
    profile.observe(4, 400);
    expect(profile.estimateUs(16)).toBe(1_600);
    expect(profile.estimateUs(1)).toBe(400);
  });

  test("a time is read between two sizes where every row is work", () => {
    const profile = new Profile();
    for (const rows of [16, 36, 36, 36]) profile.observe(rows, rows * 10_000);
    expect(profile.meanUs(36)).toBe(360_000);
    expect(profile.meanUs(64)).toBe(640_000);
    expect(profile.meanUs(33)).toBe(330_000);
  });

  test("warm-up times give way to nothing that was measured", () => {
    const profile = new Profile();
    profile.observe(1, 100);
    profile.seed([
      [1, 900],
      [8, 500],
    ]);
    expect(profile.estimateUs(1)).toBe(100);
    expect(profile.estimateUs(8)).toBe(500);
  });

  test("the best batch is the largest where rows share the cost of a run", () => {
    const profile = new Profile();
    profile.seed([1, 2, 4, 8].map((rows) => [rows, 100 + 50 * rows]));
    expect(bestOf(profile, 8)).toBe(8);
    expect(bestOf(profile, 4)).toBe(4);
  });

  test("the best batch is smaller where a row takes longer in a large one", () => {
    const profile = new Profile();
    profile.seed([
      [1, 11_070],
      [2, 22_210],
      [4, 46_060],
      [8, 93_070],
      [16, 191_950],
    ]);
    expect(bestOf(profile, 16)).toBe(2);
  });

  test("a difference as small as the times vary changes nothing", () => {
    const profile = new Profile();
    profile.seed([
      [2, 23_250],
      [4, 47_000],
    ]);
    expect(bestOf(profile, 4)).toBe(4);
  });

  test("of sizes that cost the same a row the best is the smallest that is not short", () => {
    const profile = new Profile();
    profile.seed([1, 2, 4, 8, 16, 32, 64].map((rows) => [rows, 10_000 * rows]));
    expect(bestOf(profile, 64)).toBe(16);
    const quicker = new Profile();
    quicker.seed([1, 2, 4, 8, 16, 32, 64].map((rows) => [rows, 100 * rows]));
    expect(bestOf(quicker, 64)).toBe(64);
  });

  test("one batch in thirty-two is as large as it may be, and is measured", () => {
    const profile = new Profile();
    profile.seed([
      [2, 20_000],
      [16, 400_000],
    ]);
    const sizes = Array.from({ length: 64 }, () => profile.bestRows(16));
    expect(sizes.filter((rows) => rows === 16)).toHaveLength(2);
    for (let at = 0; at < 16; at++) profile.observe(16, 100_000);
    expect(bestOf(profile, 16)).toBe(16);
  });

  test("a short batch is not cut shorter, whatever the times say", () => {
    const profile = new Profile();
    profile.seed([
      [16, 2_000],
      [32, 6_000],
      [64, 18_000],
    ]);
    expect(bestOf(profile, 64)).toBe(64);
  });

  test("a batch of fewer rows than its bucket counts by its own rows", () => {
    const profile = new Profile();
    profile.observe(9, 108_000);
    profile.observe(16, 192_000);
    profile.observe(2, 22_000);
    expect(bestOf(profile, 16)).toBe(2);
  });

  test("a size that was never measured is not preferred", () => {
    const profile = new Profile();
    profile.observe(16, 200_000);
    expect(bestOf(profile, 16)).toBe(16);
  });
});

/** What most of the batches from now on would have. */
function bestOf(profile: Profile, rowsMax: number): number {
  const sizes = Array.from({ length: 64 }, () => profile.bestRows(rowsMax)).slice(32);
  return sizes.toSorted((a, b) => a - b)[16] ?? 0;
}
