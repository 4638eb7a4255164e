/** Retries, the budget, hedges. */

import { describe, expect, test } from "vitest";
import { Drive, tier } from "./drive.ts";

function ready(options = {}): Drive {
  const drive = new Drive(options);
  drive.schedulerBeat("scheduler-1");
  return drive;
}

/** Time in which the scheduler stays known. */
function passBeating(drive: Drive, us: number): void {
  for (let left = us; left > 0; left -= 100_000) {
    drive.pass(Math.min(left, 100_000));
    drive.schedulerBeat("scheduler-1");
  }
}

describe("retries", () => {
  test("a lost worker is retried at once with the next attempt", () => {
    const drive = ready();
    const seq = drive.request();
    drive.pass(10_000);
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1");
    expect(drive.sentFor(seq)).toMatchObject([
      { attempt: 1, hedge: false },
      { attempt: 2, hedge: false, remainingUs: 990_000 },
    ]);
    drive.answer(seq, 2);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
    expect(drive.core.counters.retries).toBe(1);
  });

  test("a worker that says so itself is left to its scheduler to notice first", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "worker-1");
    expect(drive.sentFor(seq)).toHaveLength(1);
    drive.pass(5_000);
    expect(drive.sentFor(seq)).toHaveLength(2);
  });

  test("other failures wait a little, and a second lost batch too", () => {
    for (const codes of [["EXECUTION_FAILED"], ["BATCH_LOST", "BATCH_LOST"]] as const) {
      const drive = ready();
      const seq = drive.request();
      codes.forEach((code, at) => drive.answer(seq, at + 1, code, "scheduler-1"));
      expect(drive.sentFor(seq)).toHaveLength(codes.length);
      drive.pass(10_000);
      expect(drive.sentFor(seq)).toHaveLength(codes.length + 1);
    }
  });

  test("a request is tried so often and no more, and ends with the last error", () => {
    const drive = ready();
    const seq = drive.request();
    for (let attempt = 1; attempt <= 4; attempt++) {
      drive.answer(seq, attempt, "EXECUTION_FAILED");
      drive.pass(50_000);
    }
    expect(drive.sentFor(seq)).toHaveLength(4);
    expect(drive.settled[0]?.effect.outcome).toMatchObject({
      ok: false,
      attempts: 4,
      fault: { code: "EXECUTION_FAILED", retryAfterUs: 1_000_000 },
    });
  });

  test.each(["INVALID_REQUEST", "QUEUE_FULL", "DEADLINE_UNREACHABLE", "NO_DEVICE"] as const)(
    "%s is not retried",
    (code) => {
      const drive = ready();
      const seq = drive.request();
      drive.answer(seq, 1, code);
      expect(drive.outcomes(seq)).toEqual([code]);
    },
  );

  test("no retry starts at or after the deadline", () => {
    const drive = ready();
    const seq = drive.request({ timeoutUs: 1 });
    drive.answer(seq, 1, "EXECUTION_FAILED");
    expect(drive.outcomes(seq)).toEqual(["EXECUTION_FAILED"]);
  });

  test("an error of an older attempt says nothing while a newer one is open", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1");
    drive.answer(seq, 1, "INPUT_REJECTED");
    expect(drive.outcomes(seq)).toEqual([]);
    drive.answer(seq, 2);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
  });

  test("a result of an older attempt counts, and the newer ticket is cancelled", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1");
    drive.answer(seq, 1);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
    expect(drive.cancelled).toMatchObject([{ seq, scheduler: "scheduler-1" }]);
  });

  test("a scheduler that refuses because it drains is not asked again", () => {
    const drive = new Drive();
    drive.schedulerBeat("scheduler-1");
    drive.schedulerBeat("scheduler-2");
    const seq = drive.request();
    const first = drive.sentFor(seq)[0]?.scheduler ?? "";
    drive.answer(seq, 1, "DRAINING", first);
    expect(drive.sentFor(seq)[1]?.scheduler).toBe(
      first === "scheduler-1" ? "scheduler-2" : "scheduler-1",
    );
    expect(drive.core.schedulers).not.toContain(first);
  });
});

describe("the budget", () => {
  const options = { retryBurst: 5, retryPerSecond: 10, retryShare: 0.1 };

  test("is spent by retries, and then the error stands", () => {
    const drive = ready(options);
    const outcomes = Array.from({ length: 8 }, () => {
      const seq = drive.request();
      drive.answer(seq, 1, "WORKER_LOST");
      return drive.outcomes(seq)[0] ?? "retried";
    });
    expect(outcomes.filter((outcome) => outcome === "retried")).toHaveLength(5);
    expect(drive.core.counters).toMatchObject({ retries: 5, overBudget: 3 });
  });

  test("is earned by requests and by time", () => {
    const drive = ready(options);
    for (let at = 0; at < 6; at++) drive.answer(drive.request(), 1, "WORKER_LOST");
    expect(drive.core.counters.overBudget).toBe(1);
    for (let at = 0; at < 10; at++) drive.answer(drive.request(), 1);
    drive.answer(drive.request(), 1, "WORKER_LOST");
    expect(drive.core.counters).toMatchObject({ retries: 6, overBudget: 1 });
    passBeating(drive, 200_000);
    drive.answer(drive.request(), 1, "WORKER_LOST");
    drive.answer(drive.request(), 1, "WORKER_LOST");
    expect(drive.core.counters).toMatchObject({ retries: 8, overBudget: 1 });
  });
});

describe("hedges", () => {
  /** Two devices hold the model, and it usually answers in 30 ms. */
  function learned(options = {}): Drive {
    const drive = ready(options);
    for (let at = 0; at < 20; at++) {
      const seq = drive.request();
      drive.pass(30_000);
      drive.schedulerBeat("scheduler-1");
      drive.answer(seq, 1);
    }
    drive.workerBeat("worker-1", ["digits@1"]);
    drive.workerBeat("worker-2", ["digits@1"]);
    return drive;
  }

  test("a straggler is hedged once, for another device, and the first answer wins", () => {
    const drive = learned();
    const seq = drive.request();
    drive.pass(89_999);
    expect(drive.sentFor(seq)).toHaveLength(1);
    drive.pass(1);
    expect(drive.sentFor(seq)).toMatchObject([{ hedge: false }, { attempt: 2, hedge: true }]);
    passBeating(drive, 500_000);
    expect(drive.sentFor(seq)).toHaveLength(2);
    drive.answer(seq, 2);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
    expect(drive.cancelled).toHaveLength(1);
    drive.answer(seq, 1);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
  });

  test("never sooner than the minimum", () => {
    const drive = ready();
    for (let at = 0; at < 20; at++) drive.answer(drive.request(), 1);
    drive.workerBeat("worker-1", ["digits@1"]);
    drive.workerBeat("worker-2", ["digits@1"]);
    const seq = drive.request();
    drive.pass(59_999);
    expect(drive.sentFor(seq)).toHaveLength(1);
    drive.pass(1);
    expect(drive.sentFor(seq)).toHaveLength(2);
  });

  test("one of the two failing leaves the other", () => {
    const drive = learned();
    const seq = drive.request();
    drive.pass(90_000);
    drive.answer(seq, 2, "QUEUE_FULL", "scheduler-1");
    expect(drive.outcomes(seq)).toEqual([]);
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1");
    drive.pass(10_000);
    expect(drive.sentFor(seq)).toHaveLength(3);
    drive.answer(seq, 3);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
  });

  test("both of them failing ends or retries the request once", () => {
    const drive = learned();
    const seq = drive.request();
    drive.pass(90_000);
    drive.answer(seq, 1, "INPUT_REJECTED");
    drive.answer(seq, 2, "INPUT_REJECTED");
    expect(drive.outcomes(seq)).toEqual(["INPUT_REJECTED"]);
  });

  test("one that finds no place does not decide for a request whose first attempt failed", () => {
    const drive = learned();
    const seq = drive.request();
    drive.pass(90_000);
    drive.answer(seq, 1, "NOT_LOADED");
    drive.answer(seq, 2, "NO_DEVICE", "scheduler-1");
    expect(drive.outcomes(seq)).toEqual([]);
    drive.pass(20_000);
    expect(drive.sentFor(seq).at(-1)).toMatchObject({ attempt: 3, hedge: false });
    drive.answer(seq, 3, "NO_DEVICE", "scheduler-1");
    expect(drive.outcomes(seq)).toEqual(["NO_DEVICE"]);
  });

  test("batch work is never hedged", () => {
    const drive = learned();
    const seq = drive.request({ tier: tier("batch") });
    passBeating(drive, 900_000);
    expect(drive.sentFor(seq)).toHaveLength(1);
  });

  test("not while the model is unknown", () => {
    const drive = ready();
    const seq = drive.request();
    passBeating(drive, 900_000);
    expect(drive.sentFor(seq)).toHaveLength(1);
  });

  test("not where one live device holds the model", () => {
    const drive = learned();
    drive.step({ type: "disconnected", name: "worker-2" });
    const seq = drive.request();
    passBeating(drive, 300_000);
    expect(drive.sentFor(seq)).toHaveLength(1);
  });

  test("not while the queue explains the wait", () => {
    const drive = learned();
    const seq = drive.request();
    const loads = [
      { ref: "digits@1", queuedRows: 9, waitUs: 80_000, computeUs: 20_000, rowsPerSecond: 1 },
    ];
    drive.schedulerBeat("scheduler-1", { loads });
    drive.pass(95_000);
    expect(drive.sentFor(seq)).toHaveLength(1);
  });

  test("not beyond the budget", () => {
    const drive = learned({ retryBurst: 1, retryPerSecond: 0, retryShare: 0 });
    drive.request();
    drive.request();
    drive.pass(90_000);
    expect(drive.core.counters).toMatchObject({ hedges: 1, overBudget: 1 });
  });
});
