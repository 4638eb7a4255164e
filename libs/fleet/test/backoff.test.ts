/** The delay between a failure and the next start. */

import { describe, expect, test } from "vitest";
import { DEFAULT_BACKOFF, restartDelayMs } from "../src/index.ts";

describe("the restart delay", () => {
  test("is short after the first failure and doubles with each one in a row", () => {
    const delays = [1, 2, 3, 4].map((failures) => restartDelayMs(failures, DEFAULT_BACKOFF));
    expect(delays).toEqual([50, 100, 200, 400]);
  });

  test("ends at its bound and stays there", () => {
    const delays = [7, 8, 100, 10_000].map((failures) => restartDelayMs(failures, DEFAULT_BACKOFF));
    expect(delays).toEqual([3_200, 5_000, 5_000, 5_000]);
  });
});
