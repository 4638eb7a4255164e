/** What is asked on NATS: checked whole, and answered with a code where it may not be. */

import type { Bus } from "@millrace/bus";
import type { ActiveFault, FaultMember, FaultWorld } from "@millrace/faults";
import { type ChaosReply, type FaultSpec, fault } from "@millrace/protocol";
import { fail, ok } from "@millrace/std";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { Commands } from "../src/commands.ts";
import { Desk } from "../src/desk.ts";
import type { Journal } from "../src/journal.ts";

const member = (id: string, role: string): FaultMember => ({ id, role, pid: 2 });

class FakeWorld implements FaultWorld {
  readonly specs: FaultSpec[] = [];

  members(): Promise<readonly FaultMember[]> {
    return Promise.resolve([
      member("scheduler-1", "scheduler"),
      member("scheduler-2", "scheduler"),
      member("ingress-1", "ingress"),
    ]);
  }

  missing(kind: string): Promise<string | undefined> {
    return Promise.resolve(kind === "poison-input" ? "made elsewhere" : undefined);
  }

  inject(spec: FaultSpec, targets: readonly string[]) {
    this.specs.push(spec);
    if (spec.kind === "reset") return Promise.resolve(fail(fault("FAULT_FAILED", "no")));
    const { promise: ended, resolve } = Promise.withResolvers<"healed">();
    const times = { injectedAtUs: 1, endsAtUs: 2 };
    const heal = (): Promise<void> => Promise.resolve(resolve("healed"));
    const active: ActiveFault = { id: "f-1", kind: spec.kind, targets, ...times, heal, ended };
    return Promise.resolve(ok(active));
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A broker that answers; from `breaks` on it does not, until another connection is there. */
class FakeBus {
  connected = true;
  readonly counters = { reconnects: 0 };
  readonly published: ChaosReply[] = [];
  #take: ((error: null, message: object) => void) | undefined;

  readonly connection = {
    subscribe: (_subject: string, options: { callback: (error: null, message: object) => void }) =>
      (this.#take = options.callback),
    flush: () => Promise.resolve(),
  };

  publish(_subject: string, bytes: Uint8Array): boolean {
    if (this.connected) {
      this.published.push(JSON.parse(new TextDecoder().decode(bytes)) as ChaosReply);
    }
    return this.connected;
  }

  tell(command: object | string): void {
    const text = typeof command === "string" ? command : JSON.stringify(command);
    this.#take?.(null, { data: new TextEncoder().encode(text), reply: "inbox" });
  }

  async ask(command: object | string): Promise<ChaosReply> {
    const before = this.published.length;
    this.tell(command);
    while (this.published.length === before) await sleep(1);
    return this.published[before] as ChaosReply;
  }
}

let bus: FakeBus;
let world: FakeWorld;
let stopped: number;
let commands: Commands;

beforeEach(() => {
  [bus, world, stopped] = [new FakeBus(), new FakeWorld(), 0];
  const journal = { write: () => undefined } as unknown as Journal;
  const desk = new Desk({ world, journal, enabled: true });
  const monkey = {
    on: false,
    start: () => ok(undefined),
    stop: () => Promise.resolve(void stopped++),
  };
  const parts = { bus: bus as unknown as Bus, desk, world, journal, enabled: true, monkey };
  commands = new Commands(parts);
});

const order = (change: object = {}, options = {}) => ({
  v: 1,
  op: "inject",
  fault: { kind: "kill", target: { id: "scheduler-1" }, durationUs: 1e6, options, ...change },
});

describe("an order", () => {
  test("is carried out with every option of its kind", async () => {
    const reply = await bus.ask(order({ kind: "latency" }, { delayUs: 5 }));
    expect(reply).toMatchObject({ ok: true, fault: { id: "f-1", targets: ["scheduler-1"] } });
    expect(world.specs[0]?.options).toEqual({ delayUs: 5, jitterUs: 0, direction: "both" });
    expect(await bus.ask({ v: 1, op: "status" })).toMatchObject({ faults: [{ id: "f-1" }] });
    expect(await bus.ask({ v: 1, op: "abort" })).toMatchObject({ ok: true, healed: ["f-1"] });
    expect(stopped).toBe(1);
    expect(commands.totals).toMatchObject({ commands: 3, refused: 0 });
  });

  test.each([
    ["FAULT_NO_TARGET", "nobody-7 is not ours", order({ target: { id: "nobody-7" } })],
    ["FAULT_PROTECTED", "chaos-monkey-1", order({ target: { id: "chaos-monkey-1" } })],
    ["FAULT_BLAST_RADIUS", "at most 1", order({ target: { role: "scheduler" } })],
    ["FAULT_BLAST_RADIUS", "1 of 1 of ingress", order({ target: { id: "ingress-1" } })],
    ["FAULT_UNAVAILABLE", "expected gpu-worker", order({ kind: "gpu-oom" })],
    ["FAULT_UNAVAILABLE", "made elsewhere", order({ kind: "poison-input" })],
    ["FAULT_FAILED", "no", order({ kind: "reset" })],
    ["INVALID_REQUEST", "options.ms: no option of latency", order({ kind: "latency" }, { ms: 3 })],
    [
      "INVALID_REQUEST",
      "expected one of to, from, both",
      order({ kind: "blackhole" }, { direction: "up" }),
    ],
    ["INVALID_REQUEST", "fault.kind", order({ kind: "explode" })],
    ["INVALID_REQUEST", "fault.durationUs", order({ durationUs: 1e12 })],
    ["INVALID_REQUEST", "op", { v: 1, op: "erase" }],
    ["INVALID_JSON", "JSON", "{"],
    ["FAULT_UNKNOWN", "f-9", { v: 1, op: "heal", id: "f-9" }],
  ])("%s: %s", async (code, message, command) => {
    const reply = await bus.ask(command);
    expect(reply).toMatchObject({ ok: false, error: { code } });
    expect(reply.ok ? "" : reply.error.message).toContain(message);
  });

  test("without an operation is a plan, and hits nobody", async () => {
    const { fault: wanted } = order();
    expect(await bus.ask({ fault: wanted })).toMatchObject({ ok: true, targets: ["scheduler-1"] });
    expect(world.specs).toEqual([]);
  });

  test("that breaks the connection is answered over the next one, more than once", async () => {
    bus.connected = false;
    bus.tell(order());
    await sleep(20);
    expect(bus.published).toEqual([]);
    bus.counters.reconnects++;
    bus.connected = true;
    while (bus.published.length < 2) await sleep(5);
    expect(bus.published[0]).toMatchObject({ ok: true, fault: { id: "f-1" } });
    expect(bus.published[1]).toEqual(bus.published[0]);
  });

  test("list says what there is, and what is missing for the rest", async () => {
    const reply = await bus.ask({ v: 1, op: "list" });
    expect(reply.ok && reply.kinds?.find(({ kind }) => kind === "poison-input")).toEqual({
      kind: "poison-input",
      missing: "made elsewhere",
    });
    expect(reply.ok && reply.members).toHaveLength(3);
  });
});
