/** How virtual time passes in a simulated process. */

import { describe, expect, test } from "vitest";
import { Host } from "../src/host.ts";
import { Timeline } from "../src/timeline.ts";

/** Says at what time of its own clock each event came, and wants to be woken at given times. */
class Recorder {
  readonly seen: (readonly [type: string, nowUs: number])[] = [];
  wakeAtUs: number;
  readonly #periodUs: number;

  constructor(firstUs: number, periodUs: number) {
    this.wakeAtUs = firstUs;
    this.#periodUs = periodUs;
  }

  step(event: { readonly type: string }, nowUs: number): readonly string[] {
    this.seen.push([event.type, nowUs]);
    if (nowUs >= this.wakeAtUs) this.wakeAtUs += this.#periodUs;
    return event.type === "woke" ? [] : [event.type];
  }
}

function host(firstUs = Infinity, periodUs = Infinity) {
  const timeline = new Timeline();
  timeline.runUntil(500);
  const core = new Recorder(firstUs, periodUs);
  const performed: string[] = [];
  const made = new Host<{ readonly type: "said" }, string>({
    timeline,
    core,
    perform: (effect) => performed.push(effect),
    clockUs: 10_000,
  });
  return { timeline, core, performed, host: made };
}

describe("a host", () => {
  test("has a clock of its own", () => {
    const { timeline, core, performed, host: process } = host();
    timeline.runUntil(700);
    process.post({ type: "said" });
    expect(core.seen).toEqual([["said", 10_200]]);
    expect(performed).toEqual(["said"]);
  });

  test("wakes its core by a timer of whole milliseconds, never early, never twice at once", () => {
    const { timeline, core } = host(10_300, 1);
    timeline.runUntil(5_000);
    expect(core.seen.map(([, nowUs]) => nowUs)).toEqual([11_000, 12_000, 13_000, 14_000]);
  });

  test("delivers late what came while it stood still, with the clock of then", () => {
    const { timeline, core, host: process } = host(12_000, 100_000);
    process.pause();
    process.post({ type: "said" });
    timeline.runUntil(90_500);
    expect(core.seen).toEqual([]);
    process.resume();
    timeline.runUntil(91_500);
    expect(core.seen[0]).toEqual(["said", 100_000]);
  });

  test("does nothing after its end", () => {
    const { timeline, core, host: process } = host(12_000, 1_000);
    process.stop();
    process.post({ type: "said" });
    timeline.runUntil(100_000);
    expect(core.seen).toEqual([]);
  });
});

describe("the timeline", () => {
  test("runs what is due at the same time in the order in which it was put", () => {
    const timeline = new Timeline();
    const ran: string[] = [];
    timeline.at(20, () => ran.push("third"));
    timeline.at(10, () => {
      ran.push("first");
      timeline.after(0, () => ran.push("second"));
    });
    timeline.at(30, () => ran.push("later"));
    timeline.runUntil(20);
    expect(ran).toEqual(["first", "second", "third"]);
    expect(timeline.nowUs).toBe(20);
    expect(timeline.happened).toBe(3);
  });

  test("refuses the past, fractions, and a loop in which no time passes", () => {
    const timeline = new Timeline();
    timeline.runUntil(10);
    expect(() => timeline.at(9, () => {})).toThrow("has passed");
    expect(() => timeline.at(10.5, () => {})).toThrow("whole microsecond");
    const again = (): void => timeline.after(0, again);
    again();
    expect(() => timeline.runUntil(11)).toThrow("time stands still");
  });
});
