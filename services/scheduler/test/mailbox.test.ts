/** What a scheduler hears of the connections of workers and other schedulers. */

import type { Bus } from "@millrace/bus";
import { encodeJson } from "@millrace/protocol";
import type { SchedulerEvent } from "@millrace/scheduling";
import { expect, test } from "vitest";
import { openMailbox } from "../src/mailbox.ts";

class Rig {
  readonly events: SchedulerEvent[] = [];
  readonly #handlers = new Map<string, (bytes: Uint8Array, subject: string) => void>();

  constructor() {
    const bus: Pick<Bus, "subscribe"> = {
      subscribe: (subject, handler) => {
        this.#handlers.set(subject, handler);
        return { drain: async () => undefined };
      },
    };
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    openMailbox({ id: "scheduler-1", bus, log, post: (event) => this.events.push(event) });
  }

  hear(subject: string, message: unknown): void {
    this.#handlers.get(subject)?.(encodeJson(message), subject);
  }

  /** The names that the core was told of. */
  get lost(): readonly string[] {
    return this.events.flatMap((event) => (event.type === "disconnected" ? [event.name] : []));
  }

  ended(name: string, client: number): void {
    this.hear("mr.sys.disconnect", { server: { id: "NA" }, client: { name, id: client } });
  }
}

const base = { v: 1, incarnation: 1, beat: 1, state: "ready" };
const connection = { server: "NA", client: 7 };

test("a connection that a scheduler no longer speaks through ends nothing", () => {
  const rig = new Rig();
  rig.hear("mr.hb.scheduler.*", { ...base, id: "scheduler-2", loads: [], connection });
  rig.ended("scheduler-2", 6);
  expect(rig.lost).toEqual([]);
  rig.ended("scheduler-2", 7);
  expect(rig.lost).toEqual(["scheduler-2"]);
});

test("a connection that a worker no longer speaks through ends nothing", () => {
  const rig = new Rig();
  const device = {
    class: "cpu",
    name: "fake",
    memoryTotalBytes: 1,
    memoryFreeBytes: 1,
    memorySource: "budget",
  };
  const load = { progress: 0, inFlight: 0, backlogUs: 0, assignments: {}, modelsRevision: 0 };
  const beat = { ...base, ...load, id: "cpu-worker-1", role: "cpu-worker", device };
  rig.hear("mr.hb.worker.*", { ...beat, connection });
  rig.ended("cpu-worker-1", 6);
  expect(rig.lost).toEqual([]);
  rig.ended("cpu-worker-1", 7);
  rig.hear("mr.hb.worker.*", beat);
  rig.ended("cpu-worker-1", 8);
  expect(rig.lost).toEqual(["cpu-worker-1", "cpu-worker-1"]);
});
