/** Drives a core as the pump does, on a clock of its own, and keeps what it did. */

import {
  type Answer,
  type ErrorCode,
  priorityOf,
  type SchedulerHeartbeat,
  type Tier,
  type WorkerHeartbeat,
} from "@millrace/protocol";
import { seededRandom } from "@millrace/std";
import {
  IngressCore,
  type IngressEffect,
  type IngressEvent,
  type IngressOptions,
  type Request,
} from "../src/index.ts";

export type Sent = Extract<IngressEffect, { type: "send" }>;
export type Settled = Extract<IngressEffect, { type: "settle" }>;
export type Cancelled = Extract<IngressEffect, { type: "cancel" }>;

export class Drive {
  readonly core: IngressCore;
  readonly sent: Sent[] = [];
  readonly cancelled: Cancelled[] = [];
  readonly settled: { readonly atUs: number; readonly effect: Settled }[] = [];
  readonly fromZeroUs: [model: string, us: number][] = [];
  exits = 0;
  nowUs = 1_000_000;
  #seq = 0;

  constructor(options: Partial<IngressOptions> = {}, seed = 1) {
    this.core = new IngressCore(seededRandom(seed), this.nowUs, options);
  }

  step(event: IngressEvent): readonly IngressEffect[] {
    const effects = this.core.step(event, this.nowUs);
    for (const effect of effects) {
      if (effect.type === "send") this.sent.push(effect);
      else if (effect.type === "cancel") this.cancelled.push(effect);
      else if (effect.type === "settle") this.settled.push({ atUs: this.nowUs, effect });
      else if (effect.type === "cameFromZero") this.fromZeroUs.push([effect.model, effect.us]);
      else this.exits++;
    }
    return effects;
  }

  /** Lets time pass, waking the core exactly when it wants to be woken. */
  pass(us: number): void {
    const endUs = this.nowUs + us;
    while (this.core.wakeAtUs <= endUs) {
      this.nowUs = Math.max(this.nowUs, this.core.wakeAtUs);
      this.step({ type: "woke" });
    }
    this.nowUs = endUs;
  }

  /** A request that arrives now; the number of it. */
  request(change: Partial<Request> & { readonly timeoutUs?: number } = {}): number {
    const { timeoutUs = 1_000_000, ...fields } = change;
    const seq = ++this.#seq;
    this.step({
      type: "requestArrived",
      seq,
      request: {
        client: "client",
        model: "digits@1",
        tier: 1,
        rows: 1,
        length: 0,
        shapeKey: 0,
        bodyBytes: 100,
        deadlineUs: this.nowUs + timeoutUs,
        ...fields,
      },
    });
    return seq;
  }

  schedulerBeat(id: string, change: Partial<SchedulerHeartbeat> = {}): void {
    this.step({
      type: "schedulerBeat",
      heartbeat: {
        v: 1,
        id,
        incarnation: 1,
        beat: 1,
        state: "ready",
        breaks: 0,
        loads: [],
        ...change,
      },
    });
  }

  /** A worker that holds these models ready. */
  workerBeat(id: string, refs: readonly string[], change: Partial<WorkerHeartbeat> = {}): void {
    this.step({
      type: "workerBeat",
      heartbeat: {
        v: 1,
        id,
        role: "cpu-worker",
        incarnation: 1,
        beat: 1,
        state: "ready",
        device: {
          class: "cpu",
          name: "cpu",
          memoryTotalBytes: 1,
          memoryFreeBytes: 1,
          memorySource: "budget",
        },
        progress: 0,
        inFlight: 0,
        backlogUs: 0,
        assignments: {},
        modelsRevision: 1,
        models: refs.map((ref) => ({ ref, state: "ready", bytes: 1 })),
        ...change,
      },
    });
  }

  /** @param lost the worker process with which it was lost, by a scheduler's word. */
  answer(seq: number, attempt: number, error?: ErrorCode, from = "worker-1", lost = ""): void {
    const answer: Answer = {
      seq,
      attempt,
      error,
      queueUs: 1,
      computeUs: 1,
      batchRows: 1,
      parted: false,
      bodyBytes: 0,
      body: new Uint8Array(0),
    };
    this.step({ type: "answered", from, device: from.startsWith("s") ? lost : "cpu", answer });
  }

  /** What became of a request: `ok` or an error code, per answer that it got. */
  outcomes(seq: number): readonly string[] {
    return this.settled
      .filter(({ effect }) => effect.seq === seq)
      .map(({ effect: { outcome } }) => (outcome.ok ? "ok" : outcome.fault.code));
  }

  /** What the request that failed was told. */
  message(seq: number): string | undefined {
    const settled = this.settled.find(({ effect }) => effect.seq === seq)?.effect.outcome;
    return settled?.ok === false ? settled.fault.message : undefined;
  }

  sentFor(seq: number): readonly Sent[] {
    return this.sent.filter((effect) => effect.seq === seq);
  }
}

/** The tier of a name, for readable tests. */
export const tier = (name: "realtime" | "standard" | "batch"): Tier =>
  ([0, 1, 2] as const).find((one) => priorityOf(one) === name) ?? 1;
