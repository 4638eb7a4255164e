/** What the scheduler knows of one version of a model: its queue, its learned times, its demand. */

import { Arrivals, ModelQueue, Profile, type Queued, type QueueOptions } from "@millrace/batching";
import {
  type DeviceClass,
  MODELS_MAX,
  type ModelRecord,
  modelRef,
  type ModelSpec,
} from "@millrace/protocol";

/** Loading takes at least the file; sessions measured took up to a quarter more. */
const LOADED_PER_FILE_BYTE = 1.25;

export class ModelState {
  readonly ref: string;
  readonly queue: ModelQueue;
  readonly arrivals = new Arrivals();
  readonly profiles = new Map<DeviceClass, Profile>();
  /** Undefined while tickets came before the registry's word. */
  spec: ModelSpec | undefined;
  /** The version that answers by the registry, and not unloaded by the operator. */
  wanted = false;
  /** Of the loads seen, the largest. */
  measuredBytes = 0;
  lastUsedUs = -Infinity;
  /** The queue is held back for company until then; -1 when it is not, or was already. */
  holdUntilUs = -1;
  held: Queued | undefined;

  constructor(ref: string, options: QueueOptions) {
    this.ref = ref;
    this.queue = new ModelQueue(options);
  }

  /** Rows in one run; a model without a batch dimension runs one request at a time. */
  get rowsMax(): number {
    return Math.max(1, this.spec?.maxBatch ?? 1);
  }

  get loadBytes(): number {
    const estimated = Math.ceil((this.spec?.bytes ?? 0) * LOADED_PER_FILE_BYTE);
    return Math.max(this.measuredBytes, estimated);
  }

  profileOn(device: DeviceClass): Profile {
    let profile = this.profiles.get(device);
    if (profile === undefined) {
      profile = new Profile();
      this.profiles.set(device, profile);
    }
    return profile;
  }

  /** The shortest expected time of `rows` rows on any device class seen; 0 when none was. */
  fastestUs(rows: number): number {
    let fastest = Infinity;
    for (const profile of this.profiles.values()) {
      if (profile.known) fastest = Math.min(fastest, profile.meanUs(rows));
    }
    return Number.isFinite(fastest) ? fastest : 0;
  }
}

/** All versions of all models, kept in step with the registry. */
export class Models {
  readonly #byRef = new Map<string, ModelState>();
  readonly #records = new Map<string, ModelRecord>();
  readonly #options: QueueOptions;
  /** Models whose queues are not empty. */
  readonly waiting = new Set<ModelState>();

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  get(ref: string): ModelState | undefined {
    return this.#byRef.get(ref);
  }

  values(): IterableIterator<ModelState> {
    return this.#byRef.values();
  }

  /** The state of a ref, made if the registry has not spoken of it yet; undefined at the limit. */
  ensure(ref: string): ModelState | undefined {
    let model = this.#byRef.get(ref);
    if (model === undefined) {
      if (this.#byRef.size >= MODELS_MAX) return undefined;
      model = new ModelState(ref, this.#options);
      this.#byRef.set(ref, model);
    }
    return model;
  }

  record(name: string): ModelRecord | undefined {
    return this.#records.get(name);
  }

  changed(record: ModelRecord): void {
    const before = this.#records.get(record.name);
    this.#records.set(record.name, record);
    for (const spec of Object.values(record.versions)) {
      const model = this.ensure(modelRef(spec.name, spec.version));
      if (model === undefined) return;
      model.spec = spec;
      model.wanted = record.loaded && spec.version === record.active;
    }
    if (before === undefined) return;
    for (const spec of Object.values(before.versions)) {
      if (record.versions[String(spec.version)] === undefined) this.#drop(spec);
    }
  }

  removed(name: string): void {
    const record = this.#records.get(name);
    if (record === undefined) return;
    this.#records.delete(name);
    for (const spec of Object.values(record.versions)) this.#drop(spec);
  }

  /** Its queue runs dry by itself: what waits is served or refused by the sweep. */
  #drop(spec: ModelSpec): void {
    const ref = modelRef(spec.name, spec.version);
    const model = this.#byRef.get(ref);
    if (model === undefined) return;
    model.wanted = false;
    model.spec = undefined;
    if (model.queue.size === 0) this.#byRef.delete(ref);
  }
}
