/** What an ingress hears of the connections of schedulers and workers. */

import type { IngressEvent } from "@millrace/admission";
import type { Bus } from "@millrace/bus";
import { encodeJson } from "@millrace/protocol";
import { expect, test } from "vitest";
import { AnswerParts } from "../src/answer-parts.ts";
import { BodySender } from "../src/body-sender.ts";
import { Catalogue } from "../src/catalogue.ts";
import { Mailbox } from "../src/mailbox.ts";
import { Zones } from "../src/zones.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };

class Rig {
  readonly events: IngressEvent[] = [];
  readonly zones = new Zones("here");
  readonly #handlers = new Map<string, (bytes: Uint8Array, subject: string) => void>();

  constructor() {
    const bus: Pick<Bus, "onConnection" | "publish" | "subscribe"> = {
      onConnection: () => undefined,
      publish: () => true,
      subscribe: (subject, handler) => {
        this.#handlers.set(subject, handler);
        return { drain: async () => undefined };
      },
    };
    void new Mailbox({
      bus,
      address: "ingress-1",
      parts: new AnswerParts({ bytesMax: 1, isOpen: () => false }),
      sender: new BodySender({
        bus,
        address: "ingress-1",
        flush: async () => undefined,
        find: () => undefined,
      }),
      zones: this.zones,
      catalogue: new Catalogue(() => false),
      post: (event) => this.events.push(event),
      log,
    });
  }

  hear(subject: string, message: unknown): void {
    this.#handlers.get(subject)?.(encodeJson(message), subject);
  }

  ended(name: string, client: number): void {
    this.hear("mr.sys.disconnect", { server: { id: "NA" }, client: { name, id: client } });
  }

  /** The names that the core was told of. */
  get lost(): readonly string[] {
    return this.events.flatMap((event) => (event.type === "disconnected" ? [event.name] : []));
  }
}

const base = { v: 1, incarnation: 1, beat: 1, state: "ready" };
const connection = { server: "NA", client: 7 };

test("a connection that a scheduler no longer speaks through ends nothing", () => {
  const rig = new Rig();
  rig.hear("mr.hb.scheduler.*", { ...base, id: "scheduler-1", loads: [], connection });
  rig.ended("scheduler-1", 6);
  expect(rig.lost).toEqual([]);
  rig.ended("scheduler-1", 7);
  expect(rig.lost).toEqual(["scheduler-1"]);
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
  const beat = { ...base, ...load, id: "cpu-worker-1", role: "cpu-worker", device, connection };
  rig.hear("mr.hb.worker.*", beat);
  rig.ended("cpu-worker-1", 6);
  expect(rig.lost).toEqual([]);
  expect(rig.zones.kindOf("cpu-worker-1")).toBe("cpu-worker");
  rig.ended("cpu-worker-1", 7);
  expect(rig.lost).toEqual(["cpu-worker-1"]);
  expect(rig.zones.kindOf("cpu-worker-1")).toBeUndefined();
});
