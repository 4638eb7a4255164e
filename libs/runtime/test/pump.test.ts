/** The pump with a core that echoes, on a clock that moves only when told. */

import { spawnSync } from "node:child_process";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Core, createPump, nowUs } from "../src/index.ts";

type Event = { readonly type: "said"; readonly text: string } | { readonly type: "woke" };
type Effect = { readonly type: "say"; readonly text: string };

const said = (text: string): Event => ({ type: "said", text });

/** A core that says what it was told, with the time, and wakes when a test wants it to. */
class EchoCore implements Core<Event, Effect> {
  wakeAtUs = Infinity;
  readonly heard: string[] = [];
  onWoke: () => void = () => {
    this.wakeAtUs = Infinity;
  };

  step(event: Event, atUs: number): readonly Effect[] {
    const text = event.type === "said" ? event.text : "woke";
    this.heard.push(`${text} at ${atUs}`);
    if (event.type === "woke") this.onWoke();
    return [
      { type: "say", text: `${text} 1` },
      { type: "say", text: `${text} 2` },
    ];
  }
}

/** A clock that moves with the fake timers, and never by itself. */
function setUp(perform: (effect: Effect) => void = () => undefined) {
  const core = new EchoCore();
  const clock = { us: 0 };
  const done: string[] = [];
  const pump = createPump<Event, Effect>({
    core,
    nowUs: () => clock.us,
    perform: (effect) => {
      done.push(effect.text);
      perform(effect);
    },
  });
  const advance = (us: number): void => {
    clock.us += us;
    vi.advanceTimersByTime(us / 1000);
  };
  return { core, clock, done, pump, advance };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate"] });
});
afterEach(() => {
  vi.useRealTimers();
});

test("effects are performed in order, at the time of their event", () => {
  const { core, clock, done, pump } = setUp();
  pump.post(said("a"));
  clock.us = 7;
  pump.post(said("b"));
  expect(core.heard).toEqual(["a at 0", "b at 7"]);
  expect(done).toEqual(["a 1", "a 2", "b 1", "b 2"]);
});

test("an event posted by an effect waits for the other effects", () => {
  const { done, pump } = setUp((effect) => {
    if (effect.text === "a 1") {
      pump.post(said("b"));
      pump.post(said("c"));
    }
  });
  pump.post(said("a"));
  expect(done).toEqual(["a 1", "a 2", "b 1", "b 2", "c 1", "c 2"]);
});

test("a core is woken when it wanted, never before", () => {
  const { core, pump, advance } = setUp();
  core.wakeAtUs = 10_500;
  pump.post(said("a"));
  advance(10_000);
  expect(core.heard).toEqual(["a at 0"]);
  advance(1_000);
  expect(core.heard).toEqual(["a at 0", "woke at 11000"]);
  advance(100_000);
  expect(core.heard.length).toBe(2);
  expect(vi.getTimerCount()).toBe(0);
});

test("a timer that fires early by the clock looks again", () => {
  const { core, clock, pump } = setUp();
  core.wakeAtUs = 5_000;
  pump.post(said("a"));
  clock.us = 4_900;
  vi.advanceTimersByTime(5);
  expect(core.heard).toEqual(["a at 0"]);
  clock.us = 5_900;
  vi.advanceTimersByTime(1);
  expect(core.heard).toEqual(["a at 0", "woke at 5900"]);
});

test("an earlier wish moves the timer, a later one is met by looking again", () => {
  const { core, pump, advance } = setUp();
  core.wakeAtUs = 50_000;
  pump.post(said("a"));
  core.wakeAtUs = 20_000;
  pump.post(said("b"));
  advance(20_000);
  expect(core.heard.at(-1)).toBe("woke at 20000");
  core.wakeAtUs = 30_000;
  pump.post(said("c"));
  core.wakeAtUs = 60_000;
  pump.post(said("d"));
  expect(vi.getTimerCount()).toBe(1);
  advance(39_000);
  expect(core.heard.at(-1)).toBe("d at 20000");
  advance(1_000);
  expect(core.heard.at(-1)).toBe("woke at 60000");
});

test("a core that is due already is woken when the turn ends", () => {
  const { core, clock, pump } = setUp();
  clock.us = 100;
  core.wakeAtUs = 100;
  pump.post(said("a"));
  expect(core.heard).toEqual(["a at 100"]);
  vi.advanceTimersByTime(0);
  expect(core.heard).toEqual(["a at 100", "woke at 100"]);
});

test("a core that is always due does not make the pump spin", () => {
  const { core, pump, advance } = setUp();
  core.wakeAtUs = 0;
  core.onWoke = () => undefined;
  pump.post(said("a"));
  for (let at = 0; at < 20; at++) advance(1_000);
  expect(core.heard.length).toBeGreaterThan(15);
  expect(core.heard.length).toBeLessThanOrEqual(22);
});

test("a wish that no timer can hold is kept", () => {
  const { core, pump, advance } = setUp();
  const monthUs = 31 * 24 * 3600 * 1_000_000;
  core.wakeAtUs = monthUs;
  pump.post(said("a"));
  expect(vi.getTimerCount()).toBe(1);
  advance(120_000_000);
  expect(core.heard.length).toBe(1);
  expect(vi.getTimerCount()).toBe(1);
});

test("nothing is handled or performed after a stop", () => {
  const { core, done, pump, advance } = setUp((effect) => {
    if (effect.text === "b 1") {
      pump.post(said("c"));
      pump.stop();
    }
  });
  core.wakeAtUs = 5_000;
  pump.post(said("a"));
  pump.post(said("b"));
  pump.post(said("d"));
  advance(10_000);
  expect(done).toEqual(["a 1", "a 2", "b 1"]);
  expect(core.heard.length).toBe(2);
  expect(vi.getTimerCount()).toBe(0);
});

test("the clock is whole, monotonic and counts microseconds", async () => {
  vi.useRealTimers();
  const first = nowUs();
  const later = performance.now() + 5;
  while (performance.now() < later) await turn();
  const second = nowUs();
  expect(Number.isSafeInteger(first)).toBe(true);
  expect(second - first).toBeGreaterThanOrEqual(5_000);
  expect(second - first).toBeLessThan(5_000_000);
});

test.each([
  ["a core that throws", `step() { throw new Error("a defect"); }`, `() => {}`],
  ["an effect that throws", `step() { return [1]; }`, `() => { throw new Error("a defect"); }`],
  ["a loop of events and effects", `step() { return [1]; }`, `() => pump.post({ type: "again" })`],
])("%s ends the process although the poster catches", (_name, step, perform) => {
  const index = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  const script = `
    import { createPump } from ${JSON.stringify(index)};
    const core = { wakeAtUs: Infinity, ${step} };
    const pump = createPump({ core, perform: ${perform}, nowUs: () => 0 });
    try { pump.post({ type: "first" }); } catch {}
    setTimeout(() => process.exit(0), 10_000);`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  expect(child.status).toBe(1);
  expect(child.stderr).toMatch(/a defect|more than 65536 events in one step/);
});
