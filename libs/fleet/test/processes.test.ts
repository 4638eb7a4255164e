/** Processes of one machine that start one after another. */

import { expect, test } from "vitest";
import { ProcessHost } from "../src/index.ts";
import { POOLS } from "./pools.ts";
import { present } from "@millrace/std";

const pool = present(POOLS[0], "a pool");

test("starts are apart, and one that has not begun can be ended", async () => {
  const startedMs: number[] = [];
  const host = new ProcessHost({
    launch: () => ({
      command: "sleep",
      args: ["600"],
      onEvent: ({ type }) => {
        if (type === "started") startedMs.push(performance.now());
      },
    }),
    drainMsMax: 2_000,
    startGapMs: 200,
  });
  for (const id of ["one", "two", "three"]) await host.start(id, pool);
  const listed = await host.list();
  expect(listed.ok && listed.value.map(({ id, state }) => `${id} ${state}`)).toEqual([
    "one ready",
    "two starting",
    "three starting",
  ]);
  await host.end("three");
  await expect.poll(() => startedMs.length).toBe(2);
  const [one = 0, two = 0] = startedMs;
  // Less by what the first spawn took.
  expect(two - one).toBeGreaterThan(150);
  await host.close();
  expect(startedMs).toHaveLength(2);
});
