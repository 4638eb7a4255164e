/** Being told to end, once and again. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Ending } from "../../src/up/ending.ts";

let told: string[];
let ending: Ending;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  told = [];
  ending = new Ending({ began: () => told.push("drain"), hurried: () => told.push("at once") });
});

/** To the newest listener alone: the test runner has some of its own. */
function deliver(event: string): void {
  const listener = process.listeners(event as "exit").at(-1) as (() => void) | undefined;
  listener?.();
}

afterEach(() => {
  ending[Symbol.dispose]();
  vi.useRealTimers();
});

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s begins the drain", (signal) => {
  expect(ending.signal.aborted).toBe(false);
  deliver(signal);
  expect(ending.signal.aborted).toBe(true);
  expect(told).toEqual(["drain"]);
});

test("the loss of the process that started it begins the drain", () => {
  deliver("disconnect");
  expect(told).toEqual(["drain"]);
});

test("the same Ctrl-C heard twice counts once, and one a second later ends all at once", () => {
  deliver("SIGINT");
  vi.advanceTimersByTime(50);
  deliver("SIGINT");
  expect(told).toEqual(["drain"]);
  vi.advanceTimersByTime(1_000);
  deliver("SIGINT");
  expect(told).toEqual(["drain", "at once"]);
});
