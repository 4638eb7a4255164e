/** A worker core with everything it said written down, and short ways to tell it things. */

import { TRACE_BYTES, modelRef } from "@millrace/protocol";
import type {
  Answer,
  AssignmentFrame,
  AssignmentItem,
  Device,
  DoneFrame,
  ErrorCode,
  ModelSpec,
  Tier,
  WorkerHeartbeat,
} from "@millrace/protocol";
import { present } from "@millrace/std";
import {
  type RunResult,
  WorkerCore,
  type WorkerEffect,
  type WorkerEvent,
  type WorkerLimits,
} from "../src/index.ts";

export const INCARNATION = 7;
export const MIB = 1024 * 1024;

export const device = (memoryFreeBytes: number): Device => ({
  class: "emulated",
  name: "test",
  memoryTotalBytes: 1024 * MIB,
  memoryFreeBytes,
  memorySource: "budget",
});

export const modelSpec = (name: string, bytes = MIB, maxBatch = 32): ModelSpec => ({
  name,
  version: 1,
  digest: "0".repeat(64),
  bytes,
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1, 4] }],
  maxBatch,
  provenance: { source: "test", upstreamName: name, licence: "CC0-1.0" },
  createdAt: "2026-01-01T00:00:00Z",
});

/** The body of a request says whose it is, so that a mixed-up output is seen. */
export const bodyFor = (ingress: string, seq: number): Uint8Array =>
  new TextEncoder().encode(`${ingress}/${seq}`);

export function item(seq: number, fields: Partial<AssignmentItem> = {}): AssignmentItem {
  const ingress = fields.ingress ?? "ingress-1";
  const body = bodyFor(ingress, seq);
  const tail = new Uint8Array(TRACE_BYTES + (fields.remote === true ? 0 : body.length));
  if (fields.remote !== true) tail.set(body, TRACE_BYTES);
  return {
    ingress,
    seq,
    attempt: 0,
    tier: 1,
    remote: false,
    rows: 1,
    length: 0,
    remainingUs: 10_000_000,
    queuedUs: 5,
    bodyBytes: body.length,
    tail,
    ...fields,
  };
}

export interface Said {
  readonly answers: readonly (Answer & { readonly ingress: string; readonly text: string })[];
  readonly dones: readonly DoneFrame[];
  readonly beats: readonly WorkerHeartbeat[];
  readonly effects: readonly WorkerEffect[];
}

export class WorkerRig {
  readonly core: WorkerCore;
  nowUs = 1_000;
  /** Everything since the start. */
  readonly effects: WorkerEffect[] = [];
  /** What the engine has, in its order: the first is on. */
  readonly engine: Extract<WorkerEffect, { type: "run" }>[] = [];
  #nextId = 1;

  constructor(limits: Partial<WorkerLimits> = {}, free = 100 * MIB) {
    const options = { id: "gpu-worker-1", role: "gpu-worker", incarnation: INCARNATION } as const;
    this.core = new WorkerCore({ ...options, device: device(free), limits });
  }

  tell(event: WorkerEvent): Said {
    const effects = this.core.step(event, this.nowUs);
    this.effects.push(...effects);
    for (const effect of effects) if (effect.type === "run") this.#handOver(effect);
    return said(effects);
  }

  /** Lets time pass as a pump would: with a `woke` whenever the core asked for one. */
  pass(us: number): Said {
    const untilUs = this.nowUs + us;
    const effects: WorkerEffect[] = [];
    while (this.core.wakeAtUs <= untilUs) {
      this.nowUs = Math.max(this.nowUs, this.core.wakeAtUs);
      effects.push(...this.tell({ type: "woke" }).effects);
    }
    this.nowUs = untilUs;
    return said(effects);
  }

  /** A model that is loaded and ready. */
  ready(spec: ModelSpec, free = 100 * MIB): ModelSpec {
    this.load(spec);
    this.loaded(modelRef(spec.name, spec.version), spec.bytes, free);
    return spec;
  }

  load = (spec: ModelSpec): Said =>
    this.tell({ type: "commanded", command: { v: 1, kind: "load", spec, by: "scheduler-1" } });

  unload = (ref: string): Said =>
    this.tell({ type: "commanded", command: { v: 1, kind: "unload", ref, by: "scheduler-1" } });

  loaded = (ref: string, bytes = MIB, free = 100 * MIB): Said =>
    this.tell({
      type: "loadEnded",
      ref,
      loaded: { bytes, warmUs: [[1, 100]] },
      device: device(free),
    });

  assign(
    model: string,
    items: readonly AssignmentItem[],
    fields: Partial<AssignmentFrame> = {},
  ): Said {
    return this.tell({ type: "assigned", frame: this.frame(model, items, fields) });
  }

  frame(
    model: string,
    items: readonly AssignmentItem[],
    fields: Partial<AssignmentFrame> = {},
  ): AssignmentFrame {
    return {
      scheduler: "scheduler-1",
      id: this.#nextId++,
      incarnation: INCARNATION,
      model,
      tier: (items[0]?.tier ?? 1) satisfies Tier,
      startWithinUs: 5_000_000,
      expectedUs: 1_000,
      items,
      ...fields,
    };
  }

  /** The items of the run that is on. */
  get running(): readonly AssignmentItem[] {
    return present(this.engine[0], "a run").items.map((held) => held.item);
  }

  /** Ends the run that is on with each body given back as it came. */
  ran(computeUs = 800): Said {
    const outputs = present(this.engine[0], "a run").items.map(({ body }) => ({ body }));
    return this.ended({ ok: true, outputs, computeUs });
  }

  failed = (code: ErrorCode, message: string, fatal = false): Said =>
    this.ended({ ok: false, fault: { code, message }, fatal, computeUs: 300 });

  /** Ends the run that is on; what waited behind a part, or one that failed, is given back. */
  ended(result: RunResult): Said {
    const { id, partial } = present(this.engine.shift(), "a run");
    const waiting = result.ok && !partial ? [] : this.engine.splice(0);
    const effects = [...this.tell({ type: "runEnded", id, result }).effects];
    for (const run of waiting) effects.push(...this.#giveBack(run.id).effects);
    while ((this.engine[0]?.startByUs ?? Infinity) < this.nowUs) {
      effects.push(...this.stale(0).effects);
    }
    return said(effects);
  }

  /** A run at the engine did not begin in time: by default the one behind that which is on. */
  stale(at = 1): Said {
    return this.#giveBack(present(this.engine.splice(at, 1)[0], "a run that waits").id);
  }

  #giveBack(id: number): Said {
    const fault = { code: "STALE_ASSIGNMENT", message: "it did not begin" } as const;
    const result = { ok: false, fault, fatal: false, computeUs: 0 } as const;
    return this.tell({ type: "runEnded", id, result });
  }

  #handOver(run: Extract<WorkerEffect, { type: "run" }>): void {
    let at = this.engine.length;
    while (at > 1 && present(this.engine[at - 1], "a run").tier > run.tier) at--;
    this.engine.splice(at, 0, run);
  }
}

export function said(effects: readonly WorkerEffect[]): Said {
  const decoder = new TextDecoder();
  return {
    effects,
    answers: effects.flatMap((effect) =>
      effect.type === "answer"
        ? effect.frame.answers.map((answer) => ({
            ...answer,
            ingress: effect.ingress,
            text: decoder.decode(answer.body),
          }))
        : [],
    ),
    dones: effects.flatMap((effect) => (effect.type === "done" ? [effect.frame] : [])),
    beats: effects.flatMap((effect) => (effect.type === "beat" ? [effect.heartbeat] : [])),
  };
}

/** `seq` and error code of each answer. */
export const verdicts = ({ answers }: Said): (readonly [number, ErrorCode | "ok"])[] =>
  answers.map(({ seq, error }) => [seq, error ?? "ok"]);
