/** An emulated device that is lost or out of memory on purpose, over an engine that is a fake. */

import type { Engine, EngineResult } from "@millrace/engine";
import type { ModelSpec } from "@millrace/protocol";
import { expect, test } from "vitest";
import { FaultyEngine } from "../src/faulty-engine.ts";

const RAN: EngineResult = { ok: true, outputs: [], computeUs: 7 };
const open = (): FaultyEngine =>
  new FaultyEngine({ run: () => Promise.resolve(RAN), poisoned: undefined } as unknown as Engine);
const SPEC = {} as ModelSpec;
const rows = (count: number) => [{ rows: count, length: 0, body: new Uint8Array(0) }];

test("a device that is lost is poisoned from the next run on, and stays so", async () => {
  const engine = open();
  engine.lose();
  expect(engine.poisoned).toBeUndefined();
  expect(await engine.run(SPEC, rows(1))).toMatchObject({ ok: false, fatal: true });
  engine.restore();
  expect(engine.poisoned).toContain("CUDA failure 700");
  expect(await engine.run(SPEC, rows(1))).toMatchObject({ ok: false, fatal: true });
});

test("a device that is restored before it ran anything was never lost", async () => {
  const engine = open();
  engine.lose();
  engine.restore();
  expect([await engine.run(SPEC, rows(1)), engine.poisoned]).toEqual([RAN, undefined]);
});

test("out of memory fails the larger batches, is not fatal, and ends", async () => {
  const engine = open();
  engine.outOfMemory = { rowsAbove: 2, probability: 1, random: () => 0.5 };
  expect(await engine.run(SPEC, rows(2))).toBe(RAN);
  expect(await engine.run(SPEC, rows(3))).toMatchObject({
    ok: false,
    fatal: false,
    fault: { code: "OUT_OF_MEMORY" },
  });
  engine.outOfMemory = { rowsAbove: 2, probability: 0.4, random: () => 0.5 };
  expect(await engine.run(SPEC, rows(3))).toBe(RAN);
  engine.outOfMemory = undefined;
  expect(await engine.run(SPEC, rows(9))).toBe(RAN);
});
