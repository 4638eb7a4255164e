/** Whatever the world does, every request has one answer, in time, and the load stays bounded. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { ERRORS, type ErrorCode } from "@millrace/protocol";
import { Drive, tier } from "./drive.ts";

const CODES = Object.keys(ERRORS) as ErrorCode[];
const SCHEDULERS = ["scheduler-1", "scheduler-2", "scheduler-3"] as const;

type Action =
  | { readonly kind: "request"; readonly timeoutUs: number; readonly tier: 0 | 1 | 2 }
  | {
      readonly kind: "answer";
      readonly which: number;
      readonly attempt: number;
      readonly code: ErrorCode | undefined;
      readonly times: number;
    }
  | { readonly kind: "abandon"; readonly which: number }
  | {
      readonly kind: "beat";
      readonly at: number;
      readonly incarnation: number;
      readonly draining: boolean;
      readonly waitUs: number;
    }
  | { readonly kind: "disconnect"; readonly at: number }
  | { readonly kind: "bus"; readonly connected: boolean }
  | { readonly kind: "pass"; readonly us: number };

const which = fc.nat({ max: 30 });
const at = fc.nat({ max: 2 });

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("request" as const),
      timeoutUs: fc.nat({ max: 2_000_000 }),
      tier: fc.constantFrom(0, 1, 2),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("answer" as const),
      which,
      attempt: fc.nat({ max: 5 }),
      code: fc.option(fc.oneof(fc.constantFrom(...CODES), fc.constant("WORKER_LOST" as const)), {
        nil: undefined,
      }),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abandon" as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("beat" as const),
      at,
      incarnation: fc.integer({ min: 1, max: 2 }),
      draining: fc.boolean(),
      waitUs: fc.nat({ max: 1_000_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("disconnect" as const), at }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("bus" as const), connected: fc.boolean() }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), us: fc.nat({ max: 200_000 }) }),
  },
);

/** Applies the actions, then lets every deadline pass; returns what must not be answered. */
function play(drive: Drive, actions: readonly Action[]): ReadonlySet<number> {
  const abandoned = new Set<number>();
  const seqs: number[] = [];
  let connected = true;
  for (const step of actions) {
    const seq = "which" in step ? (seqs[step.which % Math.max(1, seqs.length)] ?? 0) : 0;
    const scheduler = SCHEDULERS["at" in step ? step.at : 0] ?? "scheduler-1";
    const before = drive.sent.length;
    switch (step.kind) {
      case "request":
        seqs.push(drive.request({ timeoutUs: step.timeoutUs, tier: step.tier }));
        break;
      case "answer":
        for (let time = 0; time < step.times; time++) {
          drive.answer(seq, step.attempt, step.code, time === 0 ? "worker-1" : scheduler);
        }
        break;
      case "abandon":
        if (drive.outcomes(seq).length === 0) abandoned.add(seq);
        drive.step({ type: "abandoned", seq });
        break;
      case "beat":
        drive.workerBeat("worker-1", ["digits@1"]);
        drive.workerBeat("worker-2", ["digits@1"]);
        drive.schedulerBeat(scheduler, {
          incarnation: step.incarnation,
          state: step.draining ? "draining" : "ready",
          loads: [
            {
              ref: "digits@1",
              queuedRows: 1,
              waitUs: step.waitUs,
              computeUs: 1_000,
              rowsPerSecond: 1,
            },
          ],
        });
        break;
      case "disconnect":
        drive.step({ type: "disconnected", name: scheduler });
        break;
      case "bus":
        connected = step.connected;
        drive.step({ type: "busChanged", connected });
        break;
      case "pass":
        drive.pass(step.us);
        break;
    }
    if (!connected) expect(drive.sent.length).toBe(before);
  }
  drive.pass(2_000_000);
  return abandoned;
}

function check(actions: readonly Action[]): void {
  const options = { retryBurst: 3, retryPerSecond: 10, retryShare: 0.1 };
  const drive = new Drive(options);
  const startUs = drive.nowUs;
  for (const id of SCHEDULERS) drive.schedulerBeat(id);
  const requests = actions.filter((step) => step.kind === "request");
  const arrivals = new Map<number, number>();
  const step = drive.step.bind(drive);
  drive.step = (event) => {
    if (event.type === "requestArrived") arrivals.set(event.seq, event.request.deadlineUs);
    return step(event);
  };
  const abandoned = play(drive, actions);

  // I1: exactly one answer each, none for those who left, and none after the deadline.
  expect(arrivals.size).toBe(requests.length);
  for (const [seq, deadlineUs] of arrivals) {
    const answers = drive.settled.filter(({ effect }) => effect.seq === seq);
    expect(answers.length).toBe(abandoned.has(seq) ? 0 : 1);
    for (const { atUs } of answers) expect(atUs).toBeLessThanOrEqual(deadlineUs);
    const attempts = drive.sentFor(seq).map((sent) => sent.attempt);
    expect(attempts).toEqual(attempts.map((_, index) => index + 1));
    expect(drive.sentFor(seq).every((sent) => sent.remainingUs > 0)).toBe(true);
    expect(drive.sentFor(seq).filter((sent) => sent.hedge).length).toBeLessThanOrEqual(1);
  }
  for (const { effect } of drive.settled) {
    const tries = effect.outcome.ok ? effect.outcome.served.attempts : effect.outcome.attempts;
    expect(tries).toBeLessThanOrEqual(4);
  }
  // I6: nothing is left, and what was added to the load was within the budget.
  expect(drive.core.open).toBe(0);
  expect(drive.core.openBytes).toBe(0);
  const { retries, hedges } = drive.core.counters;
  const seconds = (drive.nowUs - startUs) / 1_000_000;
  expect(retries + hedges).toBeLessThanOrEqual(3 + 0.1 * requests.length + 10 * seconds);
}

test("any order, loss and repetition of answers, beats and breaks", () => {
  fc.assert(fc.property(fc.array(action, { maxLength: 120 }), check), { numRuns: 300 });
});

test("batch work is never hedged, whatever happens", () => {
  const batch = fc.array(action, { maxLength: 80 });
  fc.assert(
    fc.property(batch, (actions) => {
      const drive = new Drive();
      drive.schedulerBeat("scheduler-1");
      const only = actions.map((one) =>
        one.kind === "request" ? { ...one, tier: tier("batch") } : one,
      );
      play(drive, only);
      expect(drive.sent.some((sent) => sent.hedge)).toBe(false);
    }),
  );
});
