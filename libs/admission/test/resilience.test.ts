/** Schedulers and the broker's connection come and go; requests do not. */

import { describe, expect, test } from "vitest";
import { Drive } from "./drive.ts";

const others = (id: string | undefined): string =>
  id === "scheduler-1" ? "scheduler-2" : "scheduler-1";

function pair(): { readonly drive: Drive; readonly seq: number; readonly owner: string } {
  const drive = new Drive();
  drive.schedulerBeat("scheduler-1");
  drive.schedulerBeat("scheduler-2");
  const seq = drive.request();
  return { drive, seq, owner: drive.sentFor(seq)[0]?.scheduler ?? "" };
}

describe("a scheduler that is lost", () => {
  test("by the broker's word: its requests go to the next owner at once, free of charge", () => {
    const { drive, seq, owner } = pair();
    drive.pass(5_000);
    drive.step({ type: "disconnected", name: owner });
    expect(drive.sentFor(seq)[1]).toMatchObject({
      scheduler: others(owner),
      attempt: 2,
      hedge: false,
      remainingUs: 995_000,
    });
    expect(drive.core.counters).toMatchObject({ resends: 1, retries: 0 });
    drive.answer(seq, 2);
    expect(drive.settled[0]?.effect.outcome).toMatchObject({ ok: true, served: { attempts: 1 } });
  });

  test("by its silence: within the suspicion time", () => {
    const { drive, seq, owner } = pair();
    for (let beat = 0; beat < 3; beat++) {
      drive.pass(100_000);
      drive.schedulerBeat(others(owner));
    }
    drive.pass(49_999);
    expect(drive.sentFor(seq)).toHaveLength(1);
    drive.pass(1);
    expect(drive.sentFor(seq)[1]?.scheduler).toBe(others(owner));
  });

  test("not by a stall of the ingress itself: what came meanwhile is heard first", () => {
    const { drive, seq, owner } = pair();
    drive.pass(50_000);
    drive.nowUs += 640_000;
    drive.step({ type: "woke" });
    drive.schedulerBeat("scheduler-1");
    drive.schedulerBeat("scheduler-2");
    drive.pass(100_000);
    expect(drive.sentFor(seq).filter(({ hedge }) => !hedge)).toHaveLength(1);
    expect(drive.core.counters.resends).toBe(0);
    expect(drive.core.schedulers).toContain(owner);
  });

  test("by its silence through a stall of the ingress: a moment after that", () => {
    const { drive, owner } = pair();
    drive.nowUs += 640_000;
    drive.schedulerBeat(others(owner));
    expect(drive.core.schedulers).toHaveLength(2);
    drive.pass(50_000);
    expect(drive.core.schedulers).toEqual([others(owner)]);
    expect(drive.core.counters.resends).toBe(1);
  });

  test("by a new incarnation: what the old process held is sent to the new one", () => {
    const { drive, seq, owner } = pair();
    drive.schedulerBeat(owner, { incarnation: 2 });
    expect(drive.sentFor(seq)).toMatchObject([{ scheduler: owner }, { scheduler: owner }]);
  });

  test("by a break of its own that nobody else saw: what it was sent before is sent again", () => {
    const { drive, seq, owner } = pair();
    drive.schedulerBeat(owner, { breaks: 1 });
    expect(drive.sentFor(seq)).toMatchObject([{ attempt: 1 }, { scheduler: owner, attempt: 2 }]);
    drive.schedulerBeat(owner, { breaks: 1 });
    expect(drive.sentFor(seq)).toHaveLength(2);
  });

  test("an answer that it had already caused still counts", () => {
    const { drive, seq, owner } = pair();
    drive.step({ type: "disconnected", name: owner });
    drive.answer(seq, 1);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
    expect(drive.cancelled).toMatchObject([{ scheduler: others(owner), seq }]);
  });

  test("requests in a pause before a retry are sent when that is over, once", () => {
    const { drive, seq, owner } = pair();
    drive.answer(seq, 1, "EXECUTION_FAILED");
    drive.step({ type: "disconnected", name: owner });
    drive.pass(10_000);
    expect(drive.sentFor(seq)).toMatchObject([{ scheduler: owner }, { scheduler: others(owner) }]);
  });

  test("tickets of one request are bounded however often schedulers restart", () => {
    const { drive, seq, owner } = pair();
    for (let incarnation = 2; incarnation < 300; incarnation++) {
      drive.schedulerBeat(owner, { incarnation });
    }
    expect(drive.sentFor(seq)).toHaveLength(64);
    drive.pass(1_000_000);
    expect(drive.outcomes(seq)).toEqual(["DEADLINE_EXCEEDED"]);
  });

  test("one that drains gets nothing new and keeps what it has", () => {
    const { drive, seq, owner } = pair();
    drive.schedulerBeat(owner, { state: "draining" });
    expect(drive.sentFor(seq)).toHaveLength(1);
    expect(drive.sentFor(drive.request())[0]?.scheduler).toBe(others(owner));
    drive.answer(seq, 1);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
  });
});

describe("no scheduler", () => {
  test("requests wait for one and are sent when it appears", () => {
    const drive = new Drive();
    const seq = drive.request();
    expect(drive.sent).toEqual([]);
    drive.pass(400_000);
    drive.schedulerBeat("scheduler-1");
    expect(drive.sentFor(seq)).toMatchObject([{ attempt: 1, remainingUs: 600_000 }]);
    expect(drive.core.counters.resends).toBe(0);
  });

  test("and none in time: the deadline says so", () => {
    const drive = new Drive();
    const seq = drive.request();
    drive.pass(1_000_000);
    expect(drive.outcomes(seq)).toEqual(["NO_SCHEDULER"]);
    expect(drive.settled[0]?.effect.outcome).toMatchObject({
      fault: { retryAfterUs: 1_000_000 },
    });
  });
});

describe("the broker's connection", () => {
  test("nothing is sent without it, and the deadline says why", () => {
    const drive = new Drive();
    drive.schedulerBeat("scheduler-1");
    drive.step({ type: "busChanged", connected: false });
    const seq = drive.request();
    drive.pass(1_000_000);
    expect(drive.sent).toEqual([]);
    expect(drive.outcomes(seq)).toEqual(["DISCONNECTED"]);
  });

  test("silence without it says nothing about the schedulers", () => {
    const { drive, owner } = pair();
    drive.step({ type: "busChanged", connected: false });
    drive.pass(900_000);
    expect(drive.core.schedulers).toContain(owner);
    expect(drive.core.wakeAtUs).toBeGreaterThan(drive.nowUs);
  });

  test("every open request is sent again, to the same owner, when that one is heard", () => {
    const { drive, seq, owner } = pair();
    drive.step({ type: "busChanged", connected: false });
    drive.pass(200_000);
    const during = drive.request();
    drive.step({ type: "busChanged", connected: true });
    drive.schedulerBeat(others(owner));
    expect(drive.sent).toHaveLength(1);
    drive.pass(30_000);
    drive.schedulerBeat(owner);
    expect(drive.sentFor(seq)).toMatchObject([
      { attempt: 1 },
      { scheduler: owner, attempt: 2, remainingUs: 770_000 },
    ]);
    expect(drive.sentFor(during)).toMatchObject([{ scheduler: owner, attempt: 1 }]);
    // A result from before the break is as good.
    drive.answer(seq, 1);
    expect(drive.outcomes(seq)).toEqual(["ok"]);
  });

  test("an owner that does not come back is lost in the usual time", () => {
    const { drive, seq, owner } = pair();
    drive.step({ type: "busChanged", connected: false });
    drive.step({ type: "busChanged", connected: true });
    drive.pass(100_000);
    drive.schedulerBeat(others(owner));
    drive.pass(200_000);
    drive.schedulerBeat(others(owner));
    drive.pass(50_000);
    expect(drive.sentFor(seq)[1]).toMatchObject({ scheduler: others(owner), attempt: 2 });
  });
});

describe("devices", () => {
  test("count while they are heard, ready and not draining", () => {
    const drive = new Drive();
    const count = () => drive.core.devices("digits@1", drive.nowUs);
    drive.workerBeat("worker-1", ["digits@1"]);
    drive.workerBeat("worker-2", ["digits@1", "spam@2"]);
    expect(count()).toBe(2);
    drive.workerBeat("worker-2", [], { state: "draining" });
    expect(count()).toBe(1);
    drive.pass(300_000);
    drive.workerBeat("worker-1", [], { models: undefined });
    drive.pass(300_000);
    expect(count()).toBe(1);
    drive.workerBeat("worker-1", [], { models: undefined, modelsRevision: 2 });
    expect(count()).toBe(0);
    drive.workerBeat("worker-1", ["digits@1"], { modelsRevision: 2 });
    expect(count()).toBe(1);
    drive.pass(350_000);
    expect(count()).toBe(0);
  });

  test("a model that is loading is not ready", () => {
    const drive = new Drive();
    drive.workerBeat("worker-1", [], {
      models: [{ ref: "digits@1", state: "loading", bytes: 1 }],
    });
    expect(drive.core.devices("digits@1", drive.nowUs)).toBe(0);
  });

  test("long silent workers are forgotten", () => {
    const drive = new Drive({ forgetAfterUs: 1_000_000 });
    drive.workerBeat("worker-1", ["digits@1"]);
    drive.pass(2_000_000);
    drive.workerBeat("worker-2", ["digits@1"]);
    drive.pass(100_000);
    expect(drive.core.devices("digits@1", drive.nowUs)).toBe(1);
  });
});
