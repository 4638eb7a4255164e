/** The method against a monkey that is a fake: when steps are done, and what ends them. */

import { beforeEach, describe, expect, test } from "vitest";
import { type DrillPlan, planDrill, readDrill } from "@millrace/drills";
import type { FaultRecord, FaultSpec } from "@millrace/protocol";
import { fail, ok, present, type Result } from "@millrace/std";
import { Method, type MethodWorld } from "../../src/drill/method.ts";
import type { Said } from "../../src/drill/monkey-link.ts";

const MEMBERS = [
  { id: "gpu-worker-1", role: "gpu-worker" },
  { id: "gpu-worker-2", role: "gpu-worker" },
  { id: "nats-1", role: "nats" },
];

const nowUs = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);

/** Ends each fault when its time is over, and tells so only when it is asked. */
class FakeMonkey {
  readonly injected: FaultSpec[] = [];
  readonly running = new Map<string, FaultRecord>();
  refusal: Said | undefined;
  /** Injects, and loses the reply. */
  losesReplies = false;

  inject(spec: FaultSpec): Promise<Result<FaultRecord, Said>> {
    if (this.refusal !== undefined) return Promise.resolve(fail(this.refusal));
    this.injected.push(spec);
    const id = `fault-${this.injected.length}`;
    const targets = "id" in spec.target ? [spec.target.id] : [spec.target.role];
    const injectedAtUs = nowUs();
    const record = {
      id,
      kind: spec.kind,
      targets,
      injectedAtUs,
      endsAtUs: injectedAtUs + spec.durationUs,
    };
    this.running.set(id, record);
    if (!this.losesReplies) return Promise.resolve(ok(record));
    return Promise.resolve(fail({ code: "DISCONNECTED", message: "timeout" }));
  }

  status() {
    for (const [id, { endsAtUs }] of this.running) if (endsAtUs <= nowUs()) this.running.delete(id);
    return Promise.resolve(ok({ ok: true as const, faults: [...this.running.values()] }));
  }

  abort() {
    return Promise.resolve(ok({ ok: true as const, healed: [] }));
  }
}

let monkey: FakeMonkey;
let set: string[];
/** Members that have nothing to do. */
let idle: readonly string[];
let stop: AbortController;

beforeEach(() => {
  monkey = new FakeMonkey();
  set = [];
  idle = [];
  stop = new AbortController();
});

function methodOf(steps: readonly string[], disconnectedUs = 0): Method {
  const method = steps.map((words) => ({
    type: "action",
    name: words,
    provider: { type: "process", path: "millrace", arguments: `chaos fault ${words}` },
  }));
  const load = { "requests-per-second": 1, duration: "9s", "warm-up": "1s", mix: [{ model: "m" }] };
  const blast = { "max-targets": 2, "max-fraction": 1, "min-healthy": 0 };
  const extensions = [{ name: "millrace", load, blast }];
  const drill = sound(readDrill({ title: "t", description: "d", method, extensions }));
  const planned: DrillPlan = sound(planDrill(drill, { seed: 3, members: MEMBERS }));
  const watch = {
    follow: () => undefined,
    idle: (ids: readonly string[]) => ids.filter((id) => idle.includes(id)),
    mateAtWork: (_: string, taken: ReadonlySet<string>) =>
      MEMBERS.find(({ id, role }) => role === "gpu-worker" && !taken.has(id) && !idle.includes(id))
        ?.id,
    ended: () => undefined,
    seen: () => ({ detectedUs: undefined, returnedUs: undefined }),
    disconnectedUs,
  };
  const world = {
    drill,
    // The pauses of a file are not waited for here.
    plan: { ...planned, steps: planned.steps.map((step) => ({ ...step, atUs: 0 })) },
    monkey,
    watch,
    load: {
      setFactor: (value: number) => set.push(`factor ${value}`),
      setPoison: (value: number) => set.push(`poison ${value}`),
    },
    beganUs: nowUs(),
    probe: () => {
      throw new Error("no probe in these methods");
    },
    say: () => undefined,
    signal: stop.signal,
  };
  return new Method(world as unknown as MethodWorld);
}

const sound = <T>(result: Result<T, unknown>): T =>
  present(result.ok ? result.value : undefined, JSON.stringify(result));

describe("the method of a drill", () => {
  test("waits for the end of one fault before the next, though nobody tells it", async () => {
    const method = methodOf([
      "kill --id gpu-worker-1 --for 100ms",
      "pause --id gpu-worker-2 --for 100ms",
    ]);
    await method.run();
    const [first, second] = method.faults;
    expect(monkey.injected.map(({ kind }) => kind)).toEqual(["kill", "pause"]);
    expect(second?.injectedUs).toBeGreaterThanOrEqual(first?.endedUs ?? Infinity);
    expect(method.refused).toEqual([]);
  });

  test("injects a seeded choice as one fault for each that the plan has drawn", async () => {
    const method = methodOf(["kill --role gpu-worker --count 2 --for 50ms"]);
    await method.run();
    const hit = monkey.injected.map(({ target }) => ("id" in target ? target.id : ""));
    expect(hit.toSorted()).toEqual(["gpu-worker-1", "gpu-worker-2"]);
  });

  test.each([
    { drawn: "nothing to do", at: "work", hit: "another" },
    { drawn: "work", at: "nothing to do", hit: "the drawn" },
    { drawn: "nothing to do", at: "nothing to do", hit: "the drawn" },
  ])("who was drawn has $drawn, its mate has $at: $hit is hit", async ({ drawn, at, hit }) => {
    const [first, second] = ["gpu-worker-1", "gpu-worker-2"] as const;
    const steps = ["kill --role gpu-worker --count 1 --for 50ms"];
    const before = methodOf(steps);
    await before.run();
    const target = present(before.faults[0]?.targets[0], "who was drawn");
    const mate = target === first ? second : first;
    idle = [...(drawn === "work" ? [] : [target]), ...(at === "work" ? [] : [mate])];
    const method = methodOf(steps);
    await method.run();
    expect(method.faults).toMatchObject([
      hit === "another"
        ? { targets: [mate], idle: [] }
        : { targets: [target], idle: drawn === "work" ? [] : [target] },
    ]);
  });

  test("follows what the monkey draws by itself, and its own only once", async () => {
    const method = methodOf(["kill --id gpu-worker-1 --for 50ms"]);
    const at = { v: 1, number: 1, atUs: nowUs() } as const;
    const drawn = { id: "drawn", kind: "pause", targets: ["gpu-worker-2"] } as const;
    const fault = {
      ...drawn,
      targets: [...drawn.targets],
      injectedAtUs: nowUs(),
      endsAtUs: nowUs(),
    };
    method.heard({ ...at, event: "injected", fault });
    method.heard({ ...at, event: "ended", fault, end: "healed" });
    const inject = monkey.inject.bind(monkey);
    const heard: FaultRecord[] = [];
    // The news of a fault may be faster than the reply to who asked for it.
    monkey.inject = async (spec) => {
      const record = await inject(spec);
      if (record.ok) {
        method.heard({ ...at, event: "injected", fault: record.value });
        heard.push(record.value);
      }
      return record;
    };
    await method.run();
    // An event may come twice, and late.
    for (const record of heard) method.heard({ ...at, event: "injected", fault: record });
    expect(method.faults.map(({ name, end }) => `${name} ${end}`)).toEqual([
      "pause healed",
      "kill --id gpu-worker-1 --for 50ms expired",
    ]);
  });

  test("keeps what was refused, with the reason", async () => {
    monkey.refusal = { code: "FAULT_BLAST_RADIUS", message: "too many" };
    const method = methodOf(["kill --id gpu-worker-1 --for 50ms"]);
    await method.run();
    expect(method.refused).toEqual([
      "kill --id gpu-worker-1 --for 50ms: too many (FAULT_BLAST_RADIUS)",
    ]);
    expect(method.runs[0]?.status).toBe("failed");
    expect(method.faults).toEqual([]);
  });

  test("finds a fault whose reply was lost among those that run", async () => {
    monkey.losesReplies = true;
    const method = methodOf(["kill --id nats-1 --for 200ms"]);
    await method.run();
    expect(method.faults).toMatchObject([{ kind: "kill", targets: ["nats-1"] }]);
    expect(method.refused).toEqual([]);
  });

  test("makes a herd by its own load, and ends it", async () => {
    const method = methodOf(["thundering-herd --for 50ms --option factor=4"]);
    await method.run();
    expect(set).toEqual(["factor 4", "factor 1"]);
    expect(method.faults).toMatchObject([{ kind: "thundering-herd", targets: [], end: "expired" }]);
  });

  test("begins nothing more once it is stopped", async () => {
    stop.abort();
    const method = methodOf(["kill --id gpu-worker-1 --for 50ms"]);
    await method.run();
    expect(monkey.injected).toEqual([]);
  });
});
