/** Carries out what the worker core wants: the one switch from effects to the outside. */

import {
  type Device,
  encodeDone,
  encodeFetch,
  encodeJson,
  fault,
  type ModelSpec,
  modelRef,
  type Resident,
  subjects,
  type WorkerHeartbeat,
} from "@millrace/protocol";
import { formatUs, unreachable } from "@millrace/std";
import type { Bus, ProcessIdentity } from "@millrace/bus";
import type { Engine } from "@millrace/engine";
import type { Loaded, NotLoaded, WorkerEffect, WorkerEvent } from "@millrace/executing";
import { nowUs } from "@millrace/runtime";
import type { BlobCache } from "@millrace/store";
import { type LevelledLog, logAnswers } from "./answer-log.ts";
import type { AnswerSender } from "./answer-sender.ts";
import type { RemoteBodies } from "./remote-bodies.ts";
import type { WorkerMetrics } from "./worker-metrics.ts";

type EffectOf<T extends WorkerEffect["type"]> = Extract<WorkerEffect, { readonly type: T }>;

export interface PerformerParts {
  readonly id: string;
  readonly own: ProcessIdentity;
  readonly bus: Pick<Bus, "publish" | "connectionId">;
  readonly engine: Engine;
  /** The device as it was read at the start. */
  readonly device: Device;
  readonly cache: BlobCache;
  readonly answers: AnswerSender;
  readonly bodies: RemoteBodies;
  readonly metrics: WorkerMetrics;
  readonly log: LevelledLog;
  readonly post: (event: WorkerEvent) => void;
  readonly exit: (effect: EffectOf<"exit">) => void;
}

export class Performer {
  readonly #parts: PerformerParts;
  #device: Device;
  #beat: WorkerHeartbeat | undefined;
  #models: readonly Resident[] = [];

  constructor(parts: PerformerParts) {
    this.#parts = parts;
    this.#device = parts.device;
  }

  /** The last heartbeat, with the last list of models. */
  get condition(): {
    readonly beat: WorkerHeartbeat | undefined;
    readonly models: readonly Resident[];
  } {
    return { beat: this.#beat, models: this.#models };
  }

  perform(effect: WorkerEffect): void {
    switch (effect.type) {
      case "run":
        return this.#run(effect);
      case "answer":
        this.#parts.metrics.answered(effect);
        logAnswers(this.#parts.log, effect);
        return this.#parts.answers.send(effect.ingress, effect.frame.answers);
      case "done":
        // The answers go first, and both in one write to the socket.
        this.#parts.answers.flush();
        return this.#publish(subjects.done(effect.scheduler), encodeDone(effect.frame), "done");
      case "fetch":
        return this.#fetch(effect);
      case "load":
        return void this.#load(effect.spec);
      case "unload":
        return void this.#unload(effect.ref);
      case "beat":
        return this.#sendBeat(effect.heartbeat);
      case "exit":
        return this.#parts.exit(effect);
      default:
        unreachable(effect);
    }
  }

  /** The device's memory, from a fresh reading where it answers. */
  async readDevice(): Promise<Device> {
    const { engine, log, post } = this.#parts;
    try {
      this.#device = await engine.readDevice();
    } catch (error) {
      log.warn({ err: error }, "the device's memory could not be read");
    }
    if (engine.poisoned !== undefined) post({ type: "deviceLost", detail: engine.poisoned });
    return this.#device;
  }

  #run({ id, tier, startByUs, partial, spec, items }: EffectOf<"run">): void {
    const batch = items.map(({ item: { rows, length }, body }) => ({ rows, length, body }));
    const turn = { tier, startWithinUs: startByUs - nowUs(), partial };
    this.#parts.engine.run(spec, batch, turn).then(
      (result) => {
        if (result.ok) {
          const rows = batch.reduce((sum, item) => sum + item.rows, 0);
          this.#parts.metrics.ran(modelRef(spec.name, spec.version), rows, result.computeUs);
        }
        this.#parts.post({ type: "runEnded", id, result });
      },
      (error: unknown) => {
        this.#parts.log.error({ err: error }, "the engine broke");
        const lost = fault("WORKER_LOST", `the engine broke: ${String(error)}`);
        const result = { ok: false, fault: lost, fatal: true, computeUs: 0 } as const;
        this.#parts.post({ type: "runEnded", id, result });
      },
    );
  }

  #fetch({ ingress, wants }: EffectOf<"fetch">): void {
    const expected = this.#parts.bodies.expect(ingress, wants);
    if (expected.length === 0) return;
    const frame = encodeFetch({ worker: this.#parts.id, wants: expected });
    if (this.#parts.bus.publish(subjects.fetch(ingress), frame)) return;
    this.#parts.bodies.cancel(ingress, expected);
  }

  async #load(spec: ModelSpec): Promise<void> {
    const { log, metrics, post } = this.#parts;
    const ref = modelRef(spec.name, spec.version);
    const beganUs = nowUs();
    const loaded = await this.#loadModel(spec).catch((error: unknown) =>
      fault("LOAD_FAILED", `${ref}: ${String(error)}`),
    );
    const took = formatUs(nowUs() - beganUs);
    if ("code" in loaded) {
      metrics.loaded(loaded.code);
      log.warn({ model: ref, ...loaded, took }, "the model could not be loaded");
    } else {
      metrics.loaded("ok");
      log.info({ model: ref, bytes: loaded.bytes, took }, "model loaded");
    }
    post({ type: "loadEnded", ref, loaded, device: await this.readDevice() });
  }

  async #loadModel(spec: ModelSpec): Promise<Loaded | NotLoaded> {
    const file = await this.#parts.cache.get(spec.digest, spec.bytes); // I8
    return file.ok ? this.#parts.engine.load(spec, file.value) : file.error;
  }

  async #unload(ref: string): Promise<void> {
    const { engine, log, post } = this.#parts;
    await engine.unload(ref).catch((error: unknown) => {
      log.error({ err: error, model: ref }, "the model could not be unloaded");
    });
    log.info({ model: ref }, "model unloaded");
    post({ type: "unloadEnded", ref, device: await this.readDevice() });
  }

  #sendBeat(heartbeat: WorkerHeartbeat): void {
    this.#beat = heartbeat;
    this.#models = heartbeat.models ?? this.#models;
    this.#parts.metrics.beat(heartbeat);
    const subject = subjects.workerHeartbeat(this.#parts.id);
    const { crossedBytes } = this.#parts.metrics.totals;
    const { startedMs } = this.#parts.own;
    const crossed = crossedBytes === 0 ? {} : { crossedBytes };
    const { connectionId: connection } = this.#parts.bus;
    const said = { ...heartbeat, ...crossed, startedMs, connection };
    this.#publish(subject, encodeJson(said), "heartbeat");
  }

  /** Without a connection nothing is lost that the next heartbeat does not say again. */
  #publish(subject: string, bytes: Uint8Array, what: string): void {
    if (!this.#parts.bus.publish(subject, bytes)) this.#parts.metrics.dropped(what);
  }
}
