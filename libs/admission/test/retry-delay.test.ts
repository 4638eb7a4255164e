/** When the next attempt is made, by what the last one ended in. */

import type { ErrorCode } from "@millrace/protocol";
import { seededRandom } from "@millrace/std";
import { expect, test } from "vitest";
import { INGRESS_DEFAULTS } from "../src/options.ts";
import { retryDelayUs } from "../src/retry-delay.ts";

const delay = (code: ErrorCode, tries: number, bySchedulerItself = true): number =>
  retryDelayUs(
    { code, tries, bySchedulerItself, isOwner: true, leftUs: 4_000_000 },
    INGRESS_DEFAULTS,
    seededRandom(1),
  );

test("a lost worker's request goes elsewhere at once, or when its scheduler knows", () => {
  expect(delay("WORKER_LOST", 1)).toBe(0);
  expect(delay("WORKER_LOST", 1, false)).toBe(INGRESS_DEFAULTS.backoffUs);
  expect(delay("WORKER_LOST", 2)).toBeGreaterThan(0);
});

test("attempts after a device that had no memory are spread over what is left", () => {
  expect(delay("OUT_OF_MEMORY", 1)).toBeLessThanOrEqual(INGRESS_DEFAULTS.backoffUs);
  expect(delay("OUT_OF_MEMORY", 2)).toBe(1_000_000);
  expect(delay("OUT_OF_MEMORY", 3)).toBe(1_333_333);
});

test("another owner of the model is asked at once", () => {
  const failed = { code: "EXECUTION_FAILED", tries: 3, bySchedulerItself: true } as const;
  const random = seededRandom(1);
  const at = { ...failed, isOwner: false, leftUs: 1 };
  expect(retryDelayUs(at, INGRESS_DEFAULTS, random)).toBe(0);
});
