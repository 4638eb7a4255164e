/** What a worker hears of its schedulers. */

import type { Bus } from "@millrace/bus";
import type { WorkerEvent } from "@millrace/executing";
import { encodeJson } from "@millrace/protocol";
import { createMetrics } from "@millrace/runtime";
import { expect, test } from "vitest";
import { Mailbox } from "../src/mailbox.ts";
import { RemoteBodies } from "../src/remote-bodies.ts";
import { createWorkerMetrics } from "../src/worker-metrics.ts";
import { silent } from "./stand.ts";

class Rig {
  readonly events: WorkerEvent[] = [];
  readonly #handlers = new Map<string, (bytes: Uint8Array, subject: string) => void>();
  readonly mailbox: Mailbox;

  constructor() {
    const id = "gpu-worker-1";
    const bus: Pick<Bus, "subscribe"> = {
      subscribe: (subject, handler) => {
        this.#handlers.set(subject, handler);
        return { drain: async () => undefined };
      },
    };
    const ignore = (): void => undefined;
    this.mailbox = new Mailbox({
      id,
      bus,
      bodies: new RemoteBodies({ nowUs: () => 0, arrived: ignore, gone: ignore }),
      metrics: createWorkerMetrics(createMetrics({ role: "gpu-worker", id })),
      log: silent,
      post: (event) => this.events.push(event),
    });
  }

  hear(subject: string, message: unknown): void {
    this.#handlers.get(subject)?.(encodeJson(message), subject);
  }

  beat(incarnation: number, more: object = {}): void {
    const base = { v: 1, id: "scheduler-1", incarnation, beat: 1, state: "ready", loads: [] };
    const beat = { ...base, ...more };
    this.hear("mr.hb.scheduler.*", beat);
  }
}

const AUDIENCE = { type: "audienceChanged" };
const GONE = { type: "schedulerGone", scheduler: "scheduler-1" };

test("a scheduler that is another process than before is gone, and counts anew", () => {
  const rig = new Rig();
  rig.beat(1);
  rig.beat(1);
  expect(rig.events).toEqual([GONE, AUDIENCE]);
  rig.beat(2);
  expect(rig.events).toEqual([GONE, AUDIENCE, GONE, AUDIENCE]);
});

test("a scheduler whose connection the broker saw end is gone, once", () => {
  const rig = new Rig();
  const lost = (name: string): void => rig.hear("mr.sys.disconnect", { client: { name } });
  lost("scheduler-1");
  expect(rig.events).toEqual([]);
  rig.beat(1);
  lost("ingress-1");
  lost("scheduler-1");
  lost("scheduler-1");
  expect(rig.events).toEqual([GONE, AUDIENCE, GONE]);
});

test("a command is passed on, and one that does not read is dropped", () => {
  const rig = new Rig();
  const command = { v: 1, kind: "unload", ref: "add@1", by: "scheduler-1" };
  rig.hear("mr.command.gpu-worker-1", { ...command, kind: "dance" });
  rig.hear("mr.command.gpu-worker-1", command);
  expect(rig.events).toEqual([{ type: "commanded", command }]);
});

test("the end of a connection that a scheduler no longer speaks through is not its own", () => {
  const rig = new Rig();
  const ended = (client: number): void => {
    const event = { server: { id: "NA" }, client: { name: "scheduler-1", id: client } };
    rig.hear("mr.sys.disconnect", event);
  };
  rig.beat(1, { connection: { server: "NA", client: 7 } });
  ended(6);
  expect(rig.events).toEqual([GONE, AUDIENCE]);
  ended(7);
  expect(rig.events).toEqual([GONE, AUDIENCE, GONE]);
});
