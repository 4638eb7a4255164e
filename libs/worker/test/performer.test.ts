/** Effects carried out on fakes: the order of messages, and what becomes of failures. */

import { setImmediate as turn } from "node:timers/promises";
import type { Engine, EngineResult } from "@millrace/engine";
import type { WorkerEffect, WorkerEvent } from "@millrace/executing";
import { type Device, type Fault, fault, frameKind } from "@millrace/protocol";
import { createMetrics } from "@millrace/runtime";
import { fail, ok, type Result } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { AnswerSender } from "../src/answer-sender.ts";
import { Performer } from "../src/performer.ts";
import { RemoteBodies } from "../src/remote-bodies.ts";
import { createWorkerMetrics } from "../src/worker-metrics.ts";
import { addModel } from "./models.ts";
import { item, silent } from "./stand.ts";

const device: Device = {
  class: "cpu",
  name: "fake",
  memoryTotalBytes: 100,
  memoryFreeBytes: 50,
  memorySource: "budget",
};

const spec = { ...addModel("add", 4, 8).spec, digest: "0".repeat(64) };

/** Does what the test says. */
class FakeEngine implements Engine {
  readonly passedOver = [];
  readonly progress = 0;
  readonly worn = undefined;
  poisoned: string | undefined;
  freeBytes = 50;
  running: () => Promise<EngineResult> = async () => ({ ok: true, outputs: [], computeUs: 1 });
  loading: () => ReturnType<Engine["load"]> = async () => ({ bytes: 10, warmUs: [[1, 5]] });

  readDevice = async (): Promise<Device> => ({ ...device, memoryFreeBytes: this.freeBytes });
  load = (): ReturnType<Engine["load"]> => this.loading();
  unload = async (): Promise<void> => undefined;
  run = (): Promise<EngineResult> => this.running();
  async [Symbol.asyncDispose](): Promise<void> {}
}

class Rig {
  readonly engine = new FakeEngine();
  readonly events: WorkerEvent[] = [];
  readonly sent: (readonly [string, string | undefined])[] = [];
  connected = true;
  file: Result<Uint8Array, Fault> = ok(new Uint8Array(3));
  readonly performer: Performer;

  constructor() {
    const id = "gpu-worker-1";
    const nowUs = (): number => 0;
    const post = (event: WorkerEvent): void => void this.events.push(event);
    const bus = {
      connectionId: { server: "NA", client: 7 },
      publish: (subject: string, bytes: Uint8Array): boolean => {
        if (this.connected) this.sent.push([subject, frameKind(bytes)]);
        return this.connected;
      },
    };
    this.performer = new Performer({
      id,
      own: { incarnation: 1, startedMs: 0 },
      bus,
      engine: this.engine,
      device,
      cache: { bytesUsed: 0, get: async () => this.file },
      answers: new AnswerSender({ bus, id, device: "cpu", nowUs, lost: () => undefined }),
      bodies: new RemoteBodies({
        nowUs,
        arrived: () => undefined,
        gone: (ingress, { seq, attempt }) => post({ type: "bodyGone", ingress, seq, attempt }),
      }),
      metrics: createWorkerMetrics(createMetrics({ role: "gpu-worker", id })),
      log: { ...silent, isLevelEnabled: () => false },
      post,
      exit: () => undefined,
    });
  }

  async perform(...effects: WorkerEffect[]): Promise<void> {
    for (const effect of effects) this.performer.perform(effect);
    await turn();
    await turn();
  }
}

const one = item(1, new Uint8Array(4));

describe("the performer", () => {
  test("sends the answers of a batch before it says that the batch is done", async () => {
    const rig = new Rig();
    const answer = {
      seq: 1,
      attempt: 0,
      error: undefined,
      queueUs: 1,
      computeUs: 1,
      batchRows: 1,
      parted: false,
      bodyBytes: 0,
      body: new Uint8Array(0),
    };
    const done = {
      worker: "gpu-worker-1",
      incarnation: 1,
      id: 1,
      seen: 1,
      model: "add@1",
      outcome: "ran",
      rows: 1,
      computeUs: 1,
      backlogUs: 0,
    } as const;
    const frame = { from: "gpu-worker-1", device: "cpu", answers: [answer] };
    rig.performer.perform({
      type: "answer",
      ingress: "ingress-1",
      model: "add@1",
      items: [one],
      frame,
    });
    rig.performer.perform({ type: "done", scheduler: "scheduler-1", frame: done });
    expect(rig.sent).toEqual([
      ["mr.answer.ingress-1", "answer"],
      ["mr.done.scheduler-1", "done"],
    ]);
  });

  test("takes an engine that breaks for a lost device", async () => {
    const rig = new Rig();
    rig.engine.running = () => Promise.reject(new Error("its thread ended"));
    const run = { id: 3, tier: 1, startByUs: Infinity, partial: false, proof: false } as const;
    await rig.perform({ type: "run", ...run, spec, items: [{ item: one, body: one.tail }] });
    expect(rig.events).toMatchObject([
      {
        type: "runEnded",
        id: 3,
        result: { ok: false, fatal: true, fault: { code: "WORKER_LOST" } },
      },
    ]);
  });

  test("says what a load took, with the memory as it is after it", async () => {
    const rig = new Rig();
    rig.engine.freeBytes = 40;
    await rig.perform({ type: "load", spec });
    expect(rig.events).toEqual([
      {
        type: "loadEnded",
        ref: "add@1",
        loaded: { bytes: 10, warmUs: [[1, 5]] },
        device: { ...device, memoryFreeBytes: 40 },
      },
    ]);
  });

  test("says why a load failed, whether the store, the engine or a bug is to blame", async () => {
    const rig = new Rig();
    rig.file = fail(fault("DISCONNECTED", "no store"));
    await rig.perform({ type: "load", spec });
    rig.file = ok(new Uint8Array(3));
    rig.engine.loading = async () => fault("MODEL_CORRUPT", "no graph");
    await rig.perform({ type: "load", spec });
    rig.engine.loading = () => Promise.reject(new Error("surprise"));
    await rig.perform({ type: "load", spec });
    const codes = rig.events.map((event) =>
      event.type === "loadEnded" && "code" in event.loaded ? event.loaded.code : "none",
    );
    expect(codes).toEqual(["DISCONNECTED", "MODEL_CORRUPT", "LOAD_FAILED"]);
  });

  test("gives bodies up at once when it cannot ask for them", async () => {
    const rig = new Rig();
    rig.connected = false;
    const want = { seq: 1, attempt: 0, bytes: 5 };
    await rig.perform({ type: "fetch", ingress: "ingress-1", wants: [want] });
    expect(rig.events).toEqual([{ type: "bodyGone", ingress: "ingress-1", seq: 1, attempt: 0 }]);
  });

  test("says that the device is lost as soon as the engine knows", async () => {
    const rig = new Rig();
    rig.engine.poisoned = "CUDA error 700";
    await rig.performer.readDevice();
    expect(rig.events).toEqual([{ type: "deviceLost", detail: "CUDA error 700" }]);
  });

  test("keeps the last figures of a device that does not answer", async () => {
    const rig = new Rig();
    rig.engine.readDevice = () => Promise.reject(new Error("no driver"));
    expect(await rig.performer.readDevice()).toEqual(device);
  });
});
