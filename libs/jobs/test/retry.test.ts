/** What is tried again and what is given up; how many items are out; when webhooks come again. */

import { ERRORS, type ErrorCode } from "@millrace/protocol";
import { seededRandom } from "@millrace/std";
import { describe, expect, test } from "vitest";
import {
  chunkDelayUs,
  DELIVERIES_MAX,
  giveUp,
  HOOK_TRIES_MAX,
  hookDelayUs,
  isDelivered,
  isRefusedForGood,
  itemDelayUs,
  ItemWindow,
  judge,
  WINDOW_DEFAULTS,
} from "../src/index.ts";

test("what can never succeed is final; what a device failed of is suspect; the rest waits", () => {
  for (const [code, { retry }] of Object.entries(ERRORS)) {
    if (retry === "never") expect(judge(code as ErrorCode)).toBe("final");
    else expect(judge(code as ErrorCode)).not.toBe("final");
  }
  expect(judge("WORKER_LOST")).toBe("suspect");
  for (const code of ["QUEUE_FULL", "NO_SCHEDULER", "NO_DEVICE", "DISCONNECTED"] as const) {
    expect(judge(code)).toBe("wait");
  }
});

test("delays grow to a bound, and half of each is drawn", () => {
  for (const delayUs of [itemDelayUs, chunkDelayUs]) {
    for (let attempt = 1; attempt < 40; attempt++) {
      expect(delayUs(attempt + 1, 0)).toBeGreaterThanOrEqual(delayUs(attempt, 0));
      expect(delayUs(attempt, 0.99)).toBeLessThanOrEqual(2 * delayUs(attempt, 0));
      expect(delayUs(attempt, 0.5)).toBeLessThanOrEqual(30_000_000);
      expect(delayUs(attempt, 0)).toBeGreaterThan(0);
    }
  }
});

test("a chunk that lost every runner is given up; one that only waited is not", () => {
  expect(giveUp(DELIVERIES_MAX, 0, 1, 10)).toBeUndefined();
  expect(giveUp(DELIVERIES_MAX + 1, 0, 1, 10)).toMatch(/without a result/);
  expect(giveUp(DELIVERIES_MAX + 30, 30, 1, 10)).toBeUndefined();
  expect(giveUp(1, 0, 11, 10)).toMatch(/as long as jobs are kept/);
});

test("a webhook is tried for hours, and then no more", () => {
  const delays = Array.from({ length: HOOK_TRIES_MAX - 1 }, (_, at) => hookDelayUs(at + 1, 0) ?? 0);
  expect(delays.every((delay, at) => delay >= (delays[at - 1] ?? 1))).toBe(true);
  const hours = delays.reduce((sum, delay) => sum + delay, 0) / 3_600_000_000;
  expect(hours).toBeGreaterThan(3);
  expect(hours).toBeLessThan(6);
  expect(hookDelayUs(HOOK_TRIES_MAX, 0)).toBeUndefined();
  expect([200, 204, 301, 410, 500].map(isDelivered)).toEqual([true, true, false, false, false]);
  expect([404, 410, 500].map(isRefusedForGood)).toEqual([false, true, false]);
});

/** A cluster of `devices` that each take `itemUs` per item, in one queue. */
function serve(devices: number, itemUs: number, seconds: number) {
  const random = seededRandom(7);
  const window = new ItemWindow();
  const busy: number[] = [];
  const free = Array.from({ length: devices }, () => 0);
  let waits = 0;
  let served = 0;
  for (let nowUs = 0; nowUs < seconds * 1_000_000; nowUs += 1_000) {
    for (let at = busy.length - 1; at >= 0; at--) {
      const sentUs = busy[at] as number;
      const soonest = free.indexOf(Math.min(...free));
      const doneUs = Math.max(free[soonest] as number, sentUs) + itemUs * (0.5 + random.next());
      if (doneUs > nowUs) break;
      free[soonest] = doneUs;
      busy.pop();
      served++;
      waits = Math.max(waits, seconds > 5 && nowUs > 5_000_000 ? nowUs - sentUs : 0);
      window.served(nowUs - sentUs, nowUs);
    }
    while (window.hasRoom) {
      window.sent();
      busy.unshift(nowUs);
    }
  }
  return { window, waitUs: waits, share: (served * itemUs) / (devices * seconds * 1_000_000) };
}

describe("the window of items", () => {
  test("keeps a slow cluster busy without queueing what would be moved up a tier", () => {
    const { waitUs, share, window } = serve(2, 50_000, 30);
    expect(share).toBeGreaterThan(0.9);
    // A scheduler moves up what has waited for two seconds.
    expect(waitUs).toBeLessThan(2_000_000);
    expect(window.size).toBeLessThan(WINDOW_DEFAULTS.most);
  });

  test("opens for a fast cluster", () => {
    const { window, share } = serve(8, 1_000, 10);
    expect(window.size).toBeGreaterThan(100);
    expect(share).toBeGreaterThan(0.9);
  });

  test("closes when the cluster refuses, and never below its least", () => {
    const window = new ItemWindow();
    for (let at = 0; at < 100; at++) {
      window.sent();
      window.refused(at * 300_000);
    }
    expect(window.size).toBe(WINDOW_DEFAULTS.least);
    expect(window.out).toBe(0);
  });

  test("takes one burst of refusals for one", () => {
    const window = new ItemWindow();
    const before = window.size;
    for (let at = 0; at < 20; at++) window.sent();
    for (let at = 0; at < 20; at++) window.refused(1_000_000 + at);
    expect(window.size).toBe(Math.floor(before * 0.7));
  });
});
