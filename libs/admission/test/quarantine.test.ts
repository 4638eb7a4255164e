/** An input that ends workers: it runs by itself, and is not given to a third one. */

import { describe, expect, test } from "vitest";
import { Drive } from "./drive.ts";

const LOADED = ["digits@1"];

function ready(): Drive {
  const drive = new Drive();
  drive.schedulerBeat("scheduler-1");
  for (const id of ["worker-1", "worker-2", "worker-3"]) drive.workerBeat(id, LOADED);
  return drive;
}

describe("a request with which a worker was lost", () => {
  test("runs by itself from then on, and ends after a second worker", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1", "worker-1#1");
    expect(drive.sentFor(seq)).toMatchObject([{ alone: false }, { attempt: 2, alone: true }]);
    drive.answer(seq, 2, "WORKER_LOST", "scheduler-1", "worker-2#1");
    drive.pass(200_000);
    expect(drive.outcomes(seq)).toEqual(["INPUT_QUARANTINED"]);
    expect(drive.sentFor(seq)).toHaveLength(2);
    expect(drive.message(seq)).toBe(
      "2 workers were lost while they ran this input: worker-1, worker-2; do not send it again",
    );
  });

  test("is not ended by one worker, whichever scheduler finds out that it hangs", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1", "worker-1#1");
    drive.pass(5_000);
    drive.answer(seq, 2, "WORKER_LOST", "scheduler-2", "worker-1#1");
    drive.pass(20_000);
    expect(drive.sentFor(seq)).toMatchObject([{}, { alone: true }, { alone: true }]);
    drive.answer(seq, 3);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
  });

  test("has lost two workers where the same one was restarted and ended again", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "worker-1");
    drive.workerBeat("worker-1", LOADED, { incarnation: 2 });
    drive.pass(20_000);
    drive.answer(seq, 2, "WORKER_LOST", "scheduler-1", "worker-1#2");
    drive.pass(150_000);
    expect(drive.outcomes(seq)).toEqual(["INPUT_QUARANTINED"]);
    expect(drive.message(seq)).toContain("worker-1, worker-1");
  });

  test("has lost one worker, by its own word for one attempt and a scheduler's for another", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "worker-1");
    drive.pass(20_000);
    drive.answer(seq, 2, "WORKER_LOST", "scheduler-1", "worker-1#1");
    drive.pass(50_000);
    expect(drive.outcomes(seq)).toEqual([]);
    expect(drive.sentFor(seq)).toHaveLength(3);
  });

  test("is answered as ever when it was not the cause", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1", "worker-1#1");
    drive.answer(seq, 2);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
  });

  test("is one loss, though the worker and its scheduler both say so", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "worker-1");
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1", "worker-1#1");
    drive.pass(5_000);
    expect(drive.outcomes(seq)).toEqual([]);
    expect(drive.sentFor(seq)).toHaveLength(2);
  });

  test("counts a worker that is said to be lost after the next attempt began", () => {
    const drive = ready();
    const seq = drive.request();
    drive.answer(seq, 1, "BATCH_LOST", "scheduler-1");
    drive.answer(seq, 1, "WORKER_LOST", "worker-1");
    drive.answer(seq, 2, "WORKER_LOST", "worker-2");
    drive.pass(150_000);
    expect(drive.outcomes(seq)).toEqual(["INPUT_QUARANTINED"]);
  });

  test("is given to one worker at a time: it is not hedged", () => {
    const drive = ready();
    for (let at = 0; at < 30; at++) drive.answer(drive.request(), 1);
    const seq = drive.request({ timeoutUs: 2_000_000 });
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1", "worker-1#1");
    for (let left = 5; left > 0; left--) {
      drive.pass(100_000);
      drive.schedulerBeat("scheduler-1");
      for (const id of ["worker-1", "worker-2"]) drive.workerBeat(id, LOADED);
    }
    expect(drive.sentFor(seq)).toHaveLength(2);
    expect(drive.core.counters.hedges).toBe(0);
  });
});

describe("workers that end together", () => {
  const lose = (drive: Drive, name: string): void =>
    void drive.step({ type: "disconnected", name });

  test("say nothing of an input that two of them had", () => {
    const drive = ready();
    const seq = drive.request({ timeoutUs: 3_000_000 });
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1", "worker-1#1");
    lose(drive, "worker-1");
    drive.answer(seq, 2, "WORKER_LOST", "scheduler-1", "worker-2#1");
    drive.pass(100_000);
    expect(drive.outcomes(seq)).toEqual([]);
    // The one that never had it is known to be gone a little later than the two.
    for (const name of ["worker-2", "worker-3"]) lose(drive, name);
    drive.schedulerBeat("scheduler-1");
    for (const id of ["worker-1", "worker-2"]) drive.workerBeat(id, LOADED, { incarnation: 2 });
    drive.pass(100_000);
    expect(drive.sentFor(seq)).toMatchObject([{}, { alone: true }, { alone: true }]);
    drive.answer(seq, 3);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
  });

  test("say nothing where nobody is left, unless they end apart", () => {
    for (const [apartUs, outcome] of [
      [100_000, undefined],
      [1_100_000, "INPUT_QUARANTINED"],
    ] as const) {
      const drive = new Drive();
      drive.schedulerBeat("scheduler-1");
      drive.workerBeat("worker-1", LOADED);
      const seq = drive.request({ timeoutUs: 5_000_000 });
      drive.answer(seq, 1, "WORKER_LOST", "scheduler-1", "worker-1#1");
      for (let leftUs = apartUs; leftUs > 0; leftUs -= 100_000) {
        drive.pass(100_000);
        drive.schedulerBeat("scheduler-1");
        drive.workerBeat("worker-1", LOADED, { incarnation: 2 });
      }
      drive.answer(seq, 2, "WORKER_LOST", "scheduler-1", "worker-1#2");
      drive.pass(200_000);
      expect(drive.outcomes(seq)).toEqual(outcome === undefined ? [] : [outcome]);
    }
  });

  test("say enough of an input that three of them had", () => {
    const drive = ready();
    const seq = drive.request({ timeoutUs: 5_000_000 });
    for (const [at, worker] of ["worker-1", "worker-2", "worker-3"].entries()) {
      drive.answer(seq, at + 1, "WORKER_LOST", "scheduler-1", `${worker}#1`);
      for (const name of ["worker-1", "worker-2", "worker-3"]) lose(drive, name);
      drive.pass(200_000);
      drive.schedulerBeat("scheduler-1");
    }
    expect(drive.outcomes(seq)).toEqual(["INPUT_QUARANTINED"]);
    expect(drive.sentFor(seq)).toHaveLength(3);
  });

  test("do not excuse an input when the others had been asked to end", () => {
    const drive = ready();
    drive.workerBeat("worker-3", LOADED, { state: "draining" });
    drive.workerBeat("worker-4", LOADED);
    const seq = drive.request();
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1", "worker-1#1");
    lose(drive, "worker-3");
    drive.answer(seq, 2, "WORKER_LOST", "scheduler-1", "worker-2#1");
    drive.pass(200_000);
    expect(drive.outcomes(seq)).toEqual(["INPUT_QUARANTINED"]);
  });

  test("leave no time for a verdict before the deadline: it may be asked again", () => {
    const drive = ready();
    const seq = drive.request({ timeoutUs: 100_000 });
    drive.answer(seq, 1, "WORKER_LOST", "scheduler-1", "worker-1#1");
    drive.answer(seq, 2, "WORKER_LOST", "scheduler-1", "worker-2#1");
    expect(drive.outcomes(seq)).toEqual(["WORKER_LOST"]);
  });
});

test("a worker that fell silent, or never had the batch, says nothing of the input", () => {
  const drive = ready();
  const seq = drive.request();
  for (const attempt of [1, 2, 3]) {
    drive.answer(seq, attempt, "BATCH_LOST", "scheduler-1");
    drive.pass(100_000);
    drive.schedulerBeat("scheduler-1");
  }
  expect(drive.sentFor(seq).map(({ alone }) => alone)).toEqual([false, false, false, false]);
  drive.answer(seq, 4);
  expect(drive.outcomes(seq)).toEqual(["ok"]);
});
