/** What may have cost a worker runs by itself, on a device that holds nothing else. */

import type { Ticket, TicketFrame } from "@millrace/protocol";
import { present } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const A = "a@1";
const alone = { alone: true, attempt: 2 };

function withDevices(...ids: readonly string[]): Bench {
  const bench = new Bench();
  bench.know(record("a"));
  bench.know(record("b"));
  for (const id of ids) bench.hear(beat(id, { models: [ready(A, 50_000), ready("b@1", 50_000)] }));
  return bench;
}

const frameOf = (...tickets: readonly Ticket[]): TicketFrame => ({
  ingress: "ingress-1",
  model: A,
  tickets,
});

describe("a ticket that is to run alone", () => {
  test("is a batch of its own, and nothing is sent beside it", () => {
    const bench = withDevices("gpu-1");
    bench.send(A, ticket(1, alone), ticket(2, alone), ticket(3));
    bench.send("b@1", ticket(4));
    bench.pass(60_000);
    expect(bench.assigned.map((sent) => bench.seqs(sent))).toEqual([[1]]);
    bench.done(present(bench.assigned[0], "a batch"));
    expect(bench.assigned.map((sent) => bench.seqs(sent))).toEqual([[1], [2]]);
    bench.done(present(bench.assigned[1], "a batch"));
    bench.pass(60_000);
    expect(bench.assigned.map((sent) => bench.seqs(sent))).toEqual([[1], [2], [3], [4]]);
  });

  test("waits for a busy device to end what it holds, and is not passed by other models", () => {
    const bench = withDevices("gpu-1");
    bench.send("b@1", ticket(1));
    bench.send(A, ticket(2, { ...alone, remainingUs: 500_000 }));
    bench.send("b@1", ticket(3));
    bench.pass(49_500);
    expect(bench.assigned.map((sent) => bench.seqs(sent))).toEqual([[1]]);
    bench.done(present(bench.assigned[0], "a batch"));
    expect(bench.assigned.map((sent) => bench.seqs(sent))).toEqual([[1], [2]]);
  });

  test("goes to the device that is empty, also when another will be free at once", () => {
    const bench = withDevices("gpu-1", "gpu-2");
    bench.send("b@1", ticket(1));
    bench.pass(49_500);
    bench.send(A, ticket(2, alone));
    const [first, second] = bench.assigned;
    expect(second?.worker).not.toBe(first?.worker);
  });
});

test("what a worker never took is not lost with it", () => {
  const bench = withDevices("gpu-1");
  bench.send(A, ticket(1));
  bench.pass(49_500);
  bench.send(A, ticket(2));
  expect(bench.assigned).toHaveLength(2);
  const assignments = { "scheduler-1": { seen: 1, held: [] } };
  bench.hear(beat("gpu-1", { state: "draining", assignments }));
  bench.step({ type: "disconnected", name: "gpu-1" });
  const ends = bench.refused.flatMap(({ lost, refusals }) =>
    refusals.map(({ seq, code }) => [seq, code, lost]),
  );
  expect(ends).toEqual([
    [1, "WORKER_LOST", "gpu-1#1"],
    [2, "BATCH_LOST", ""],
  ]);
});

test("a request with two tickets on a device loses one worker with it", () => {
  const bench = withDevices("gpu-1", "gpu-2");
  bench.know(record("a", { maxBatch: 8 }));
  bench.hear(beat("gpu-2", { revision: 2 }));
  bench.send(A, ticket(9));
  bench.send(A, ticket(1, { attempt: 1 }));
  bench.step({ type: "ticketsArrived", frame: frameOf(ticket(1, { attempt: 1 })) });
  bench.pass(49_500);
  bench.step({ type: "disconnected", name: "gpu-1" });
  expect(bench.codes).toEqual(["WORKER_LOST", "WORKER_LOST", "BATCH_LOST"]);
});

test("what was held by a device that is lost comes back as such, by how it was lost", () => {
  const bench = withDevices("gpu-1");
  bench.send(A, ticket(1));
  bench.step({ type: "disconnected", name: "gpu-1" });
  expect(bench.codes).toEqual(["WORKER_LOST"]);
  const silent = withDevices("gpu-1");
  silent.send(A, ticket(1));
  silent.pass(500_000);
  expect(silent.codes).toEqual(["BATCH_LOST"]);
});
