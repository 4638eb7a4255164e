/** Admission, the one answer, deadlines, cancellation and drain. */

import { describe, expect, test } from "vitest";
import { Drive, tier } from "./drive.ts";

function ready(options = {}): Drive {
  const drive = new Drive(options);
  drive.schedulerBeat("scheduler-1");
  return drive;
}

/** The fault of a request's one answer. */
const faultOf = (drive: Drive, seq: number) => {
  const outcome = drive.settled.find(({ effect }) => effect.seq === seq)?.effect.outcome;
  return outcome?.ok === false ? outcome.fault : undefined;
};

describe("one answer", () => {
  test("a request goes to the owner with what is left of its time, and is answered", () => {
    const drive = ready();
    const seq = drive.request({ timeoutUs: 500_000 });
    expect(drive.sent).toMatchObject([
      { scheduler: "scheduler-1", seq, attempt: 1, hedge: false, remainingUs: 500_000 },
    ]);
    drive.pass(2_000);
    drive.answer(seq, 1);
    expect(drive.settled[0]?.effect.outcome).toMatchObject({
      ok: true,
      served: { from: "worker-1", device: "cpu", attempts: 1, totalUs: 2_000 },
    });
    expect(drive.core.open).toBe(0);
    expect(drive.cancelled).toEqual([]);
  });

  test("I1: a second answer is dropped and counted", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1);
    drive.answer(seq, 1);
    drive.answer(seq, 1, "INTERNAL");
    expect(drive.outcomes(seq)).toEqual(["ok"]);
    expect(drive.core.counters.lateAnswers).toBe(2);
  });

  test.each([0, 2, 255])("an answer to attempt %i, which was never sent, is dropped", (attempt) => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, attempt);
    expect(drive.outcomes(seq)).toEqual([]);
  });

  test("a terminal error ends the request with the worker's own words", () => {
    const drive = ready();
    const seq = drive.request();
    drive.step({
      type: "answered",
      from: "worker-1",
      device: "cpu",
      answer: {
        seq,
        attempt: 1,
        error: "INPUT_REJECTED",
        queueUs: 0,
        computeUs: 0,
        batchRows: 1,
        parted: false,
        bodyBytes: 0,
        body: new TextEncoder().encode("index 7 is out of range"),
      },
    });
    expect(faultOf(drive, seq)).toEqual({
      code: "INPUT_REJECTED",
      message: "index 7 is out of range",
    });
  });

  test("all versions of a model have one owner", () => {
    const drive = new Drive();
    for (const id of ["a", "b", "c", "d"]) drive.schedulerBeat(id);
    const owners = new Set<string>();
    for (let version = 1; version <= 20; version++) {
      const seq = drive.request({ model: `digits@${version}` });
      owners.add(drive.sentFor(seq)[0]?.scheduler ?? "");
    }
    expect(owners.size).toBe(1);
  });
});

describe("the deadline", () => {
  test("a request without an answer ends exactly at its deadline", () => {
    const drive = ready();
    const seq = drive.request({ timeoutUs: 123_456 });
    const startUs = drive.nowUs;
    drive.pass(1_000_000);
    expect(drive.outcomes(seq)).toEqual(["DEADLINE_EXCEEDED"]);
    expect(drive.settled[0]?.atUs).toBe(startUs + 123_456);
    expect(drive.cancelled).toMatchObject([{ seq, scheduler: "scheduler-1", model: "digits@1" }]);
  });

  test("an answer after the deadline is late even when nobody woke the core", () => {
    const drive = ready();
    const seq = drive.request({ timeoutUs: 1_000 });
    drive.nowUs += 1_000;
    drive.answer(seq, 1);
    expect(drive.outcomes(seq)).toEqual(["DEADLINE_EXCEEDED"]);
  });

  test("a request that is late already is not sent", () => {
    const drive = ready();
    const seq = drive.request({ timeoutUs: 0 });
    expect(drive.outcomes(seq)).toEqual(["DEADLINE_EXCEEDED"]);
    expect(drive.sent).toEqual([]);
  });

  test("settled requests leave no timers behind", () => {
    const drive = ready();
    for (let round = 0; round < 10_000; round++) {
      drive.answer(drive.request({ timeoutUs: 600_000_000 }), 1);
    }
    // The next wake is the scheduler's silence, not a deadline.
    expect(drive.core.wakeAtUs).toBeLessThan(drive.nowUs + 1_000_000);
  });
});

describe("admission", () => {
  const load = (waitUs: number, computeUs: number) => ({
    loads: [{ ref: "digits@1", queuedRows: 1, waitUs, computeUs, rowsPerSecond: 1 }],
  });

  test("a predicted miss is refused now, with the time after which it may fit", () => {
    const drive = ready();
    drive.schedulerBeat("scheduler-1", load(900_000, 300_000));
    const seq = drive.request({ timeoutUs: 1_000_000 });
    expect(faultOf(drive, seq)).toMatchObject({
      code: "DEADLINE_UNREACHABLE",
      retryAfterUs: 200_000,
    });
    expect(drive.sent).toEqual([]);
    expect(drive.outcomes(drive.request({ timeoutUs: 1_200_000 }))).toEqual([]);
  });

  test("realtime passes the queue, but not its own time on the device", () => {
    const drive = ready();
    drive.schedulerBeat("scheduler-1", load(900_000, 300_000));
    const fast = drive.request({ tier: tier("realtime"), timeoutUs: 300_000 });
    expect(drive.outcomes(fast)).toEqual([]);
    const faster = drive.request({ tier: tier("realtime"), timeoutUs: 299_999 });
    expect(drive.outcomes(faster)).toEqual(["DEADLINE_UNREACHABLE"]);
  });

  test("an old prediction refuses nobody", () => {
    const drive = ready();
    drive.schedulerBeat("scheduler-1", load(900_000, 300_000));
    drive.pass(300_000);
    drive.schedulerBeat("scheduler-1");
    drive.pass(300_000);
    expect(drive.outcomes(drive.request())).toEqual([]);
  });

  test("a prediction of a scheduler that no longer owns the model refuses nobody", () => {
    const drive = ready();
    drive.schedulerBeat("scheduler-1", load(9_000_000, 300_000));
    drive.step({ type: "disconnected", name: "scheduler-1" });
    drive.schedulerBeat("scheduler-2");
    expect(drive.outcomes(drive.request())).toEqual([]);
  });

  test("I6: open requests are bounded by count", () => {
    const drive = ready({ openMax: 2 });
    const first = drive.request();
    drive.request();
    const third = drive.request();
    expect(faultOf(drive, third)).toMatchObject({ code: "OVERLOADED", retryAfterUs: 1_000_000 });
    drive.answer(first, 1);
    expect(drive.outcomes(drive.request())).toEqual([]);
  });

  test("I6: open requests are bounded by bytes", () => {
    const drive = ready({ openBytesMax: 1000 });
    const first = drive.request({ bodyBytes: 600 });
    expect(drive.outcomes(drive.request({ bodyBytes: 401 }))).toEqual(["OVERLOADED"]);
    expect(drive.outcomes(drive.request({ bodyBytes: 400 }))).toEqual([]);
    drive.answer(first, 1);
    expect(drive.core.openBytes).toBe(400);
  });

  test("a client has its concurrency, and other clients have theirs", () => {
    const drive = ready();
    const limits = { openMax: 1, perSecondMax: Infinity };
    const first = drive.request({ client: "a", limits });
    expect(drive.outcomes(drive.request({ client: "a", limits }))).toEqual(["RATE_LIMITED"]);
    expect(drive.outcomes(drive.request({ client: "b", limits }))).toEqual([]);
    drive.answer(first, 1);
    expect(drive.outcomes(drive.request({ client: "a", limits }))).toEqual([]);
  });

  test("a client has its rate, and hears when to come again", () => {
    const drive = ready();
    const limits = { openMax: 100, perSecondMax: 2 };
    drive.request({ client: "a", limits });
    drive.request({ client: "a", limits });
    const third = drive.request({ client: "a", limits });
    expect(faultOf(drive, third)).toMatchObject({ code: "RATE_LIMITED", retryAfterUs: 500_000 });
    drive.pass(500_000);
    expect(drive.outcomes(drive.request({ client: "a", limits }))).toEqual([]);
    expect(drive.outcomes(drive.request({ client: "a", limits }))).toEqual(["RATE_LIMITED"]);
  });

  test("changed limits hold at once and keep count of what is open", () => {
    const drive = ready();
    drive.request({ client: "a", limits: { openMax: 1, perSecondMax: Infinity } });
    const more = { openMax: 2, perSecondMax: Infinity };
    expect(drive.outcomes(drive.request({ client: "a", limits: more }))).toEqual([]);
    expect(drive.outcomes(drive.request({ client: "a", limits: more }))).toEqual(["RATE_LIMITED"]);
  });
});

describe("a client that is gone", () => {
  test("takes its request out of the queue and gets no answer", () => {
    const drive = ready();
    const seq = drive.request();
    drive.step({ type: "abandoned", seq });
    expect(drive.cancelled).toEqual([
      { type: "cancel", scheduler: "scheduler-1", model: "digits@1", seq },
    ]);
    drive.answer(seq, 1);
    drive.pass(2_000_000);
    expect(drive.outcomes(seq)).toEqual([]);
    expect(drive.core.open).toBe(0);
  });

  test("gets none when its time is over in the same moment", () => {
    const drive = ready();
    const seq = drive.request({ deadlineUs: drive.nowUs + 1_000 });
    drive.nowUs += 1_001;
    drive.step({ type: "abandoned", seq });
    expect(drive.outcomes(seq)).toEqual([]);
    expect(drive.core.open).toBe(0);
  });

  test("twice, or after the answer, is nothing", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1);
    drive.step({ type: "abandoned", seq });
    drive.step({ type: "abandoned", seq: 999 });
    expect(drive.cancelled).toEqual([]);
  });
});

describe("drain", () => {
  test("refuses what is new, finishes what is open, then exits once", () => {
    const drive = ready();
    const seq = drive.request();
    drive.step({ type: "drainBegan" });
    expect(drive.outcomes(drive.request())).toEqual(["DRAINING"]);
    expect(drive.exits).toBe(0);
    drive.answer(seq, 1);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
    drive.step({ type: "woke" });
    drive.step({ type: "drainBegan" });
    expect(drive.exits).toBe(1);
  });

  test("with nothing open exits at once", () => {
    const drive = ready();
    drive.step({ type: "drainBegan" });
    expect(drive.exits).toBe(1);
  });
});
