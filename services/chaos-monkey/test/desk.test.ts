/** Orders and the monkey mode over a world that is a fake: bounds, vetoes, and the journal. */

import type { ActiveFault, FaultEnd, FaultMember, FaultWorld } from "@millrace/faults";
import { BLAST_DEFAULT, type ChaosEvent, type FaultKind, type FaultSpec } from "@millrace/protocol";
import { readConfig } from "@millrace/runtime";
import { ok } from "@millrace/std";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { fields } from "../src/config.ts";
import { Desk } from "../src/desk.ts";
import type { Journal } from "../src/journal.ts";
import { runMonkey } from "../src/monkey.ts";
import type { Pulse } from "../src/pulse.ts";

class FakeWorld implements FaultWorld {
  readonly hit: string[] = [];
  active = 0;
  activeMost = 0;
  #count = 0;

  members(): Promise<readonly FaultMember[]> {
    const role = "scheduler";
    return Promise.resolve([1, 2].map((number) => ({ id: `s-${number}`, role, pid: 2 })));
  }

  missing(kind: FaultKind): Promise<string | undefined> {
    return Promise.resolve(kind === "latency" ? "no proxy" : undefined);
  }

  async inject(spec: FaultSpec, ids: readonly string[]) {
    await sleep(1);
    this.hit.push(`${spec.kind} ${ids.join(",")}`);
    this.activeMost = Math.max(this.activeMost, ++this.active);
    const { promise: ended, resolve } = Promise.withResolvers<FaultEnd>();
    const timer = setTimeout(() => resolve("expired"), spec.durationUs / 1000);
    void ended.then(() => this.active--);
    const active: ActiveFault = {
      id: `f-${++this.#count}`,
      kind: spec.kind,
      targets: ids,
      injectedAtUs: 1,
      endsAtUs: 2,
      ended,
      heal: async () => {
        clearTimeout(timer);
        resolve("healed");
      },
    };
    return ok(active);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

class FakeJournal {
  readonly events: Omit<ChaosEvent, "v" | "number" | "atUs">[] = [];
  write(event: Omit<ChaosEvent, "v" | "number" | "atUs">): void {
    this.events.push(event);
  }
  get kinds(): readonly string[] {
    return this.events.map(({ event }) => event);
  }
}

const spec = (kind: FaultKind, id: string, durationUs = 60_000_000): FaultSpec => ({
  kind,
  target: { id },
  durationUs,
  options: {},
});

function open(enabled = true) {
  const world = new FakeWorld();
  const journal = new FakeJournal();
  const desk = new Desk({ world, journal: journal as unknown as Journal, enabled });
  return { world, journal, desk };
}

describe("orders", () => {
  test("two at once are bounded together", async () => {
    const { desk, world } = open();
    const both = await Promise.all(
      ["s-1", "s-2"].map((id) => desk.inject(spec("kill", id), BLAST_DEFAULT, 0)),
    );
    expect(both.map((one) => (one.ok ? "injected" : one.error.code))).toEqual([
      "injected",
      "FAULT_BLAST_RADIUS",
    ]);
    expect(world.hit).toEqual(["kill s-1"]);
    await desk.healAll();
  });

  test("what is being injected is healed with the rest", async () => {
    const { desk, world } = open();
    const injecting = desk.inject(spec("kill", "s-1"), BLAST_DEFAULT, 0);
    expect(await desk.healAll()).toEqual(["f-1"]);
    await injecting;
    expect(world.active).toBe(0);
  });

  test("a fault is in the journal from its begin to its end, and frees its place", async () => {
    const { desk, journal } = open();
    const first = await desk.inject(spec("kill", "s-1", 5_000), BLAST_DEFAULT, 0);
    if (first.ok) await first.value.ended;
    await sleep(0);
    const second = await desk.inject(spec("kill", "s-2"), BLAST_DEFAULT, 0);
    expect(second.ok).toBe(true);
    expect(await desk.healAll()).toEqual(["f-2"]);
    await sleep(0);
    expect(journal.events.map(({ event, end }) => `${event} ${end ?? ""}`.trim())).toEqual([
      "injected",
      "ended expired",
      "injected",
      "ended healed",
    ]);
    expect(desk.running).toEqual([]);
  });

  test("where faults are not enabled nobody is hit, and a plan says who would be", async () => {
    const { desk, world, journal } = open(false);
    const refused = await desk.inject(spec("kill", "s-1"), BLAST_DEFAULT, 0);
    expect(refused.ok ? "" : refused.error.code).toBe("FAULT_DISABLED");
    const plan = await desk.plan(spec("kill", "s-1"), BLAST_DEFAULT, 0);
    expect(plan.ok && plan.value.map(({ id }) => id)).toEqual(["s-1"]);
    expect([world.hit, journal.kinds]).toEqual([[], ["refused"]]);
  });

  test("what is not under way is not healed, and what is missing is not planned", async () => {
    const { desk } = open();
    const healed = await desk.heal("f-9");
    expect(healed.ok ? "" : healed.error.code).toBe("FAULT_UNKNOWN");
    const plan = await desk.plan(spec("latency", "s-1"), BLAST_DEFAULT, 0);
    expect(plan.ok ? "" : plan.error.code).toBe("FAULT_UNAVAILABLE");
  });
});

describe("the monkey mode", () => {
  const drawing = { seed: 3, meanUs: 2_000, distanceUs: 1_000, durationUs: 2_000 };
  const always = readConfig(fields, { MILLRACE_CHAOS_GROUND: "/nowhere" }).window;

  /** Until the condition holds. */
  async function run(
    change: { ill?: string; window?: typeof always },
    until: (seen: { world: FakeWorld; journal: FakeJournal }) => boolean,
  ) {
    const { desk, world, journal } = open();
    const ending = new AbortController();
    const pulse = { illness: () => change.ill } as unknown as Pulse;
    const running = runMonkey({
      desk,
      world,
      pulse,
      journal: journal as unknown as Journal,
      window: change.window ?? always,
      drawing: { ...drawing, kinds: ["kill", "pause"] },
      blast: BLAST_DEFAULT,
      signal: ending.signal,
    });
    while (!until({ world, journal })) await sleep(5);
    ending.abort();
    await desk.healAll();
    await running;
    return { world, journal };
  }

  const vetoedTwice = ({ journal }: { journal: FakeJournal }): boolean =>
    journal.kinds.filter((kind) => kind === "vetoed").length > 1;

  test("hits one at a time until it is stopped", async () => {
    const { world, journal } = await run({}, (seen) => seen.world.hit.length > 3);
    expect(world.hit.length).toBeGreaterThan(3);
    expect([world.active, world.activeMost]).toEqual([0, 1]);
    expect([journal.kinds[0], journal.kinds.at(-1)]).toEqual(["began", "stopped"]);
  });

  test("hits nobody while the cluster is not well", async () => {
    const { world, journal } = await run({ ill: "gpu-worker-1 is not heard" }, vetoedTwice);
    expect(world.hit).toEqual([]);
    expect(journal.events.find(({ event }) => event === "vetoed")?.detail).toContain("not heard");
  });

  test("hits nobody outside its hours", async () => {
    const never = { ...always, days: [] };
    const { world, journal } = await run({ window: never }, vetoedTwice);
    expect([world.hit, journal.kinds.includes("vetoed")]).toEqual([[], true]);
  });
});

describe("the configuration", () => {
  const read = (window: string) =>
    readConfig(fields, { MILLRACE_CHAOS_GROUND: "/x", MILLRACE_CHAOS_WINDOW: window }).window;

  test("days and hours in a time zone", () => {
    expect(read("fri-mon 09:00-15:30 Europe/Berlin")).toEqual({
      days: [5, 6, 0, 1],
      fromMinute: 540,
      toMinute: 930,
      timeZone: "Europe/Berlin",
    });
  });

  test.each(["mon", "mon-fri 9-15 UTC", "mon 15:00-09:00 UTC", "mon 09:00-15:00 Moon/Base"])(
    "%s is refused with what was expected",
    (text) => expect(() => read(text)).toThrow("mon-fri 09:00-15:00 Europe/Berlin"),
  );

  test("off unless enabled", () => {
    const config = readConfig(fields, { MILLRACE_CHAOS_GROUND: "/x" });
    expect([config.chaos, config.monkey]).toEqual(["0", "0"]);
  });
});
