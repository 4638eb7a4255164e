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
});
