/** Models that are parked, fleets of nobody: who asks waits, is served in time, or is told. */

import { describe, expect, test } from "vitest";
import { SCHEDULER_DEFAULTS } from "../src/index.ts";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const A = "a@1";
const SECOND_US = 1_000_000;
const LOAD_US = 2 * SECOND_US;
const PARKED = {
  residency: { ...SCHEDULER_DEFAULTS.residency, parkAfterUs: 10 * SECOND_US },
};

const commandsOf = (bench: Bench): readonly string[] =>
  bench.commands.map(({ command, why, worker }) => `${command.kind} ${worker}: ${why}`);

let revision = 1;

/** The worker says what it holds, which is not what it held before. */
function holds(bench: Bench, options: Parameters<typeof beat>[1]): void {
  bench.hear(beat("gpu-1", { revision: ++revision, ...options }));
}

/** It goes on beating while time passes. */
function pass(bench: Bench, us: number, options: Parameters<typeof beat>[1]): void {
  holds(bench, options);
  for (let passed = 0; passed < us; passed += 100_000) {
    bench.pass(100_000);
    bench.hear(beat("gpu-1", { revision, ...options }));
  }
}

const loading = { models: [{ ref: A, state: "loading" as const, bytes: 0 }] };
const held = { models: [ready(A)] };

/** A model that was pushed, loaded in two seconds, and that nobody asked for since. */
function parked(): Bench {
  const bench = new Bench(PARKED);
  holds(bench, {});
  bench.know(record("a"));
  bench.pass(10_000);
  expect(commandsOf(bench)).toEqual(["load gpu-1: no copy"]);
  pass(bench, LOAD_US, loading);
  pass(bench, 12 * SECOND_US, held);
  expect(commandsOf(bench)[1]).toBe("unload gpu-1: idle");
  pass(bench, 5 * SECOND_US, {});
  expect(commandsOf(bench).filter((command) => command.startsWith("load"))).toHaveLength(1);
  bench.commands.length = 0;
  return bench;
}

describe("a parked model", () => {
  test("comes back for a request that waits for it, and serves it", () => {
    const bench = parked();
    bench.send(A, ticket(1, { remainingUs: 5 * SECOND_US }));
    bench.pass(10_000);
    expect(commandsOf(bench)).toEqual(["load gpu-1: no copy"]);
    pass(bench, LOAD_US, loading);
    expect(bench.codes).toEqual([]);
    holds(bench, held);
    expect(bench.seqs(bench.assigned[0])).toEqual([1]);
  });

  test("is loaded for those who ask again, where the first had too little time", () => {
    const bench = parked();
    bench.send(A, ticket(1, { remainingUs: SECOND_US }));
    expect(bench.codes).toEqual(["DEADLINE_UNREACHABLE"]);
    bench.pass(10_000);
    expect(commandsOf(bench)).toEqual(["load gpu-1: no copy"]);
    pass(bench, 1_500_000, loading);
    // Half a second of the load is left by now.
    bench.send(A, ticket(2, { remainingUs: SECOND_US }));
    expect(bench.codes).toHaveLength(1);
    pass(bench, 500_000, loading);
    holds(bench, held);
    expect(bench.seqs(bench.assigned[0])).toEqual([2]);
  });

  test("makes others go for a request that could not wait: it will be asked for again", () => {
    const bench = parked();
    bench.know(record("b"));
    const full = { models: [ready("b@1")], freeBytes: 2 ** 20 };
    pass(bench, SECOND_US, full);
    bench.commands.length = 0;
    bench.send(A, ticket(1, { remainingUs: SECOND_US }));
    bench.pass(10_000);
    expect(commandsOf(bench)).toEqual([`unload gpu-1: room for ${A}`]);
  });

  test("is not loaded by a scheduler that starts, and what it finds stays a while", () => {
    const bench = new Bench(PARKED);
    const late = new Bench({ ...PARKED, id: "scheduler-2" }, "unread");
    for (const each of [bench, late]) each.know(record("a"));
    late.step({ type: "registryRead" });
    for (const each of [bench, late]) {
      holds(each, {});
      each.pass(10_000);
    }
    expect(commandsOf(bench)).toEqual(["load gpu-1: no copy"]);
    expect(commandsOf(late)).toEqual([]);
    pass(late, 8 * SECOND_US, held);
    expect(commandsOf(late)).toEqual([]);
  });

  test("stays for ever by default", () => {
    const bench = new Bench();
    bench.know(record("a"));
    pass(bench, 60 * SECOND_US, held);
    expect(commandsOf(bench)).toEqual([]);
  });
});

describe("a fleet of nobody", () => {
  test("lets requests wait until a worker comes, where one is started for them", () => {
    const bench = new Bench({ noDeviceGraceUs: Infinity });
    bench.know(record("a"));
    bench.pass(3_600 * SECOND_US);
    bench.send(A, ticket(1, { remainingUs: 30 * SECOND_US, rows: 3 }));
    bench.pass(100_000);
    expect(bench.loads).toMatchObject([{ ref: A, queuedRows: 3, waitUs: 0 }]);
    bench.pass(20 * SECOND_US);
    expect(bench.codes).toEqual([]);
    holds(bench, held);
    expect(bench.seqs(bench.assigned[0])).toEqual([1]);
  });

  test("tells those for whom none came in time, and still calls for one", () => {
    const bench = new Bench({ noDeviceGraceUs: Infinity });
    bench.know(record("a"));
    bench.send(A, ticket(1, { remainingUs: SECOND_US }));
    bench.pass(2 * SECOND_US);
    expect(bench.refused[0]?.refusals).toMatchObject([
      { code: "DEADLINE_UNREACHABLE", message: "no worker came before its deadline" },
    ]);
    expect(bench.loads).toMatchObject([{ ref: A, queuedRows: 1 }]);
    bench.pass(10 * SECOND_US);
    expect(bench.loads).toEqual([]);
  });
});
