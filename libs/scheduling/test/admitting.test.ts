/** Which tickets wait, and which are refused at once or as soon as that is known. */

import type { ModelRecord, SchedulerHeartbeat } from "@millrace/protocol";
import { present } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const A = "a@1";
const B = "b@1";
const SECOND_US = 1_000_000;

/** Runs of 100 ms, of one row each, that begin as soon as they are sent. */
function shared(...ids: readonly string[]): Bench {
  const bench = new Bench();
  bench.know(record("a", { maxBatch: 1 }));
  bench.know(record("b", { maxBatch: 1 }));
  const models = [A, B].map((ref) => ({
    ...ready(ref),
    warmUs: [[1, 100_000] as [number, number]],
  }));
  for (const id of ids) bench.hear(beat(id, { models }));
  return bench;
}

/** The heartbeat of another scheduler, at which so much waits for `b` in each tier. */
function elsewhere(queueUs: readonly [number, number, number]): SchedulerHeartbeat {
  const load = { ref: B, queuedRows: 10, waitUs: 0, computeUs: 100_000, rowsPerSecond: 0 };
  const loads = [{ ...load, queueUs: [...queueUs] as [number, number, number] }];
  return { v: 1, id: "scheduler-2", incarnation: 1, beat: 0, state: "ready", breaks: 0, loads };
}

function sendMany(bench: Bench, ref: string, count: number, fields = {}): void {
  for (let at = 0; at < count; at++) bench.send(ref, ticket(1_000 + at, fields));
}

describe("the predicted wait", () => {
  test("counts what waits for other models on the device", () => {
    const bench = shared("gpu-1");
    sendMany(bench, B, 6, { remainingUs: SECOND_US });
    bench.send(A, ticket(1, { remainingUs: 650_000 }));
    expect(bench.codes).toEqual([]);
    bench.send(A, ticket(2, { remainingUs: 1_100_000 }));
    expect(bench.codes).toEqual([]);
    sendMany(bench, B, 4, { remainingUs: 1_400_000 });
    bench.send(A, ticket(3, { remainingUs: 1_400_000 }));
    expect(bench.codes).toEqual(["DEADLINE_UNREACHABLE"]);
  });

  test("does not count what is less urgent, in a lower tier or with a later deadline", () => {
    const bench = shared("gpu-1");
    sendMany(bench, B, 20, { tier: 2, remainingUs: 60 * SECOND_US });
    sendMany(bench, B, 20, { remainingUs: 60 * SECOND_US });
    bench.send(A, ticket(1, { remainingUs: 500_000 }));
    expect(bench.codes).toEqual([]);
    sendMany(bench, B, 20, { tier: 0, remainingUs: 60 * SECOND_US });
    bench.send(A, ticket(2, { remainingUs: 500_000 }));
    expect(bench.codes).toEqual(["DEADLINE_UNREACHABLE"]);
  });

  test("is that of the device where the wait is shortest", () => {
    const bench = shared("gpu-1");
    const models = [{ ...ready(A), warmUs: [[1, 100_000] as [number, number]] }];
    bench.hear(beat("gpu-2", { models }));
    sendMany(bench, B, 8, { remainingUs: SECOND_US });
    bench.send(A, ticket(1, { remainingUs: 300_000 }));
    expect(bench.assigned.at(-1)?.worker).toBe("gpu-2");
    expect(bench.codes).toEqual([]);
  });

  /** 100 ms at the device and 400 ms in the queue are ahead here of what comes next. */
  function besides(queueUs: readonly [number, number, number]): Bench {
    const bench = shared("gpu-1");
    bench.step({ type: "schedulerBeat", heartbeat: elsewhere(queueUs) });
    sendMany(bench, A, 5, { remainingUs: 900_000 });
    return bench;
  }

  test("counts the turns that another scheduler's queue takes at the device", () => {
    const bench = besides([0, 10 * SECOND_US, 0]);
    bench.send(A, ticket(1, { remainingUs: 950_000 }));
    expect(bench.codes).toEqual(["DEADLINE_UNREACHABLE"]);
    // Their ten seconds are not ahead of it: each of ours goes after one of theirs.
    bench.send(A, ticket(2, { remainingUs: 1_300_000 }));
    expect(bench.codes).toHaveLength(1);
  });

  test("counts all of the tiers above there, and nothing of those below", () => {
    const above = besides([0, 0, 0]);
    above.step({ type: "schedulerBeat", heartbeat: elsewhere([SECOND_US, 0, 0]) });
    above.send(A, ticket(1, { remainingUs: 1_300_000 }));
    expect(above.codes).toEqual(["DEADLINE_UNREACHABLE"]);
    const below = besides([0, 0, 60 * SECOND_US]);
    below.send(A, ticket(1, { remainingUs: 950_000 }));
    expect(below.codes).toEqual([]);
  });

  test("is told to other schedulers by tier", () => {
    const bench = shared("gpu-1", "gpu-2");
    sendMany(bench, A, 6);
    sendMany(bench, A, 4, { tier: 0 });
    bench.pass(100_000);
    expect(bench.loads.find(({ ref }) => ref === A)?.queueUs).toEqual([100_000, 200_000, 0]);
  });

  test("is told to the ingresses with all that is ahead", () => {
    const bench = shared("gpu-1");
    sendMany(bench, B, 9, { remainingUs: 5 * SECOND_US });
    sendMany(bench, A, 1, { remainingUs: 5 * SECOND_US });
    bench.nowUs += 100_000;
    const beaten = bench.step({ type: "woke" }).find(({ type }) => type === "beat");
    const loads = beaten?.type === "beat" ? beaten.heartbeat.loads : [];
    const waits = loads.find(({ ref }) => ref === A)?.waitUs;
    expect(waits).toBeGreaterThan(700_000);
  });
});

describe("a ticket that is sent again", () => {
  test("takes the place of the older one, and leaves the queue no longer", () => {
    const bench = shared("gpu-1");
    sendMany(bench, B, 2);
    bench.send(A, ticket(1, { attempt: 1 }));
    bench.send(A, ticket(1, { attempt: 2 }));
    expect(bench.core.figures.queuedTickets).toBe(2);
    bench.done(present(bench.assigned[0], "a batch"));
    bench.pass(300_000);
    const items = bench.assigned.flatMap(({ frame }) => frame.items);
    const sent = items.filter(({ seq }) => seq === 1);
    expect(sent.map(({ attempt }) => attempt)).toEqual([2]);
  });

  test("does not take the place of another ingress's, and a hedge of nobody's", () => {
    const bench = shared("gpu-1", "gpu-2");
    sendMany(bench, B, 4);
    bench.send(A, ticket(1, { attempt: 1 }));
    bench.send(A, ticket(1, { attempt: 2, hedge: true }));
    const frame = { ingress: "ingress-2", model: A, tickets: [ticket(1, { attempt: 3 })] };
    const before = bench.core.figures.queuedTickets;
    bench.step({ type: "ticketsArrived", frame });
    expect(bench.core.figures.queuedTickets).toBe(before + 1);
  });
});

describe("a version that was removed", () => {
  const replaced = (): ModelRecord => {
    const { versions, ...rest } = record("a");
    const spec = { ...present(versions["1"], "a version"), version: 2 };
    return { ...rest, active: 2, latest: 2, versions: { "2": spec } };
  };

  test("is refused at once, and what waits for it with it", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.send(A, ticket(1));
    bench.know(replaced());
    expect(bench.codes).toEqual(["VERSION_NOT_FOUND"]);
    bench.send(A, ticket(2));
    expect(bench.codes).toEqual(["VERSION_NOT_FOUND", "VERSION_NOT_FOUND"]);
    bench.step({ type: "modelRemoved", name: "a" });
    bench.send("a@2", ticket(3));
    expect(bench.codes.at(-1)).toBe("MODEL_NOT_FOUND");
  });

  test("is awaited where the registry has not spoken of it yet, or speaks of it again", () => {
    const bench = new Bench();
    bench.know(record("a"));
    bench.send("a@2", ticket(1));
    expect(bench.codes).toEqual([]);
    bench.step({ type: "modelRemoved", name: "a" });
    bench.know(record("a"));
    bench.send(A, ticket(2));
    expect(bench.codes).toEqual([]);
  });
});

describe("a model that was removed and added again from other bytes (I8)", () => {
  const other = "1".repeat(64);
  const changed = (digest: string): ModelRecord => {
    const { versions, ...rest } = record("a");
    return { ...rest, versions: { "1": { ...present(versions["1"], "a version"), digest } } };
  };
  const resident = (digest: string) => ({ ...ready(A), digest });

  test("is not served by a device that holds the old ones, known before or after", () => {
    for (const knownFirst of [true, false]) {
      const bench = new Bench();
      const hear = (): void => bench.hear(beat("gpu-1", { models: [resident("0".repeat(64))] }));
      if (!knownFirst) hear();
      bench.know(changed(other));
      if (knownFirst) hear();
      bench.send(A, ticket(1));
      bench.pass(20_000);
      expect(bench.assigned).toEqual([]);
      expect(bench.commands.map(({ command }) => command.kind)).toEqual(["unload"]);
      bench.hear(beat("gpu-1", { revision: 2 }));
      bench.pass(20_000);
      const load = bench.commands[1]?.command;
      expect(load?.kind === "load" && load.spec.digest).toBe(other);
      bench.hear(beat("gpu-1", { revision: 3, models: [resident(other)] }));
      expect(bench.assigned).toHaveLength(1);
    }
  });

  test("is not served any more by a device that held it when it changed", () => {
    const bench = new Bench();
    bench.know(changed("0".repeat(64)));
    bench.hear(beat("gpu-1", { models: [resident("0".repeat(64))] }));
    bench.send(A, ticket(1));
    bench.done(present(bench.assigned[0], "a batch"));
    bench.know(changed(other));
    bench.send(A, ticket(2));
    expect(bench.assigned).toHaveLength(1);
  });

  test("is served as ever by a worker that says nothing of digests", () => {
    const bench = new Bench();
    bench.know(changed(other));
    bench.hear(beat("gpu-1", { models: [ready(A)] }));
    bench.send(A, ticket(1));
    expect(bench.assigned).toHaveLength(1);
  });
});

test("a prediction counts whole batches, whose rows all end together", () => {
  for (const [remainingUs, admitted] of [
    [260_000, 16],
    [400_000, 32],
  ] as const) {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 64 }));
    const warmUs = [1, 2, 4, 8, 16, 32, 64].map((rows): [number, number] => [rows, 10_000 * rows]);
    bench.hear(beat("gpu-1", { models: [{ ...ready("a@1"), warmUs }] }));
    for (let seq = 1; seq <= 2; seq++) {
      bench.send("a@1", ticket(seq));
      bench.done(present(bench.assigned.at(-1), "a batch"), 10_000);
    }
    // One is running for as long as a row takes; then sixteen at a time are best.
    bench.send("a@1", ticket(3));
    const many = Array.from({ length: 40 }, (_, at) => ticket(10 + at, { remainingUs }));
    bench.send("a@1", ...many);
    expect(bench.codes).toHaveLength(40 - admitted);
  }
});
