/** Two processes with one id: exactly one ends, whichever of them hears the other. */

import { encodeJson } from "@millrace/protocol";
import { expect, test } from "vitest";
import { IdTakenError, type ProcessIdentity, watchNamesake, yieldsTo } from "../src/index.ts";

const process = (startedMs: number, incarnation: number): ProcessIdentity => ({
  startedMs,
  incarnation,
});

test("the one that started later goes on, and of two that started together one", () => {
  expect(yieldsTo(process(1_000, 9), process(2_000, 3))).toBe(true);
  expect(yieldsTo(process(2_000, 3), process(1_000, 9))).toBe(false);
  expect(yieldsTo(process(1_000, 3), process(1_000, 9))).toBe(true);
  expect(yieldsTo(process(1_000, 9), process(1_000, 3))).toBe(false);
  expect(yieldsTo(process(1_000, 9), process(1_000, 9))).toBe(false);
});

test("its own heartbeats and those of an earlier process end nobody", async () => {
  let hear: (bytes: Uint8Array) => void = () => undefined;
  const bus = {
    subscribe: (_: string, handler: (bytes: Uint8Array, subject: string) => void) => {
      hear = (bytes) => handler(bytes, "mr.hb.worker.a");
      return { drain: async () => undefined };
    },
  };
  let ended: unknown;
  const watched = watchNamesake(bus, "mr.hb.worker.a", { id: "a", own: process(1_000, 9) });
  watched.catch((error: unknown) => (ended = error));
  for (const message of [
    process(1_000, 9),
    process(999, 12),
    { incarnation: 12 },
    { startedMs: 2_000 },
  ]) {
    hear(encodeJson(message));
  }
  await Promise.resolve();
  expect(ended).toBeUndefined();
  hear(encodeJson(process(1_001, 1)));
  await expect(watched).rejects.toThrow(IdTakenError);
  await expect(watched).rejects.toThrow("MILLRACE_ID");
});
