/** What the scheduler knows of one version of a model: its queue, its learned times, its demand. */

import { Arrivals, ModelQueue, Profile, type Queued, type QueueOptions } from "@millrace/batching";
import {
  type DeviceClass,
  MODELS_MAX,
  type ModelRecord,
  modelRef,
  type ModelSpec,
  type Resident,
  splitRef,
} from "@millrace/protocol";
import { Calibration } from "./calibration.ts";

/** Loading takes at least the file; sessions measured took up to a quarter more. */
const LOADED_PER_FILE_BYTE = 1.25;

export class ModelState {
  readonly ref: string;
  readonly queue: ModelQueue;
  readonly arrivals = new Arrivals();
  /** By the tier that tickets were sent as: what is overtaken by design says nothing of others. */
  readonly calibrations = [new Calibration(), new Calibration(), new Calibration()] as const;
  readonly profiles = new Map<DeviceClass, Profile>();
  /** Undefined while tickets came before the registry's word. */
  spec: ModelSpec | undefined;
  /** The version that answers by the registry, and not unloaded by the operator. */
  wanted = false;
  /** Of the loads seen, the largest. */
  measuredBytes = 0;
  /** Of the loads seen, the shortest; undefined before the first. */
  loadUs: number | undefined;
  /** When it was last asked for, pushed or made the version that answers. */
  lastUsedUs = -Infinity;
  /** Requests could not wait for a first copy: it counts as waited for until then. */
  missedUntilUs = -Infinity;
  /** Until then one of them was not sent as batch. */
  urgentMissedUntilUs = -Infinity;
  /** The queue is held back for company until then; -1 when it is not, or was already. */
  holdUntilUs = -1;
  held: Queued | undefined;
  /** The zone whose devices it is held for; undefined where it is held for company. */
  heldFor: string | undefined;
  /** How many devices it has, by what they are worth, and until when that is taken to hold. */
  devices = 1;
  devicesUntilUs = -Infinity;
  /** When its queue is next looked through for what is out of reach; Infinity when it is not. */
  lookAtUs = Infinity;

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

  /** The ticket would have taken until its deadline at least. */
  noteDropped({ arrivedUs, deadlineUs, predictedUs, ticket }: Queued, nowUs: number): void {
    this.calibrations[ticket.tier].observe(predictedUs, deadlineUs - arrivedUs, nowUs);
  }

  /** Nobody waits, but for the load came those too late who may ask again. */
  isMissed(nowUs: number): boolean {
    return this.queue.size === 0 && nowUs < this.missedUntilUs;
  }

  /** Rows that wait, and one for those that could not wait for the load that they call for. */
  wantedRows(nowUs: number): number {
    return this.isMissed(nowUs) ? 1 : this.queue.rowsThrough(2);
  }

  /** Of the wanted rows, those sent as batch. */
  batchRows(nowUs: number): number {
    if (!this.isMissed(nowUs)) return this.queue.batchRows;
    return nowUs < this.urgentMissedUntilUs ? 0 : 1;
  }

  /** A resident from other bytes is another model, whatever its name (I8). */
  isOtherThan({ digest }: Pick<Resident, "digest">): boolean {
    return this.spec !== undefined && digest !== undefined && digest !== this.spec.digest;
  }

  /** What was learned of the bytes before says nothing of these. */
  forget(): void {
    this.measuredBytes = 0;
    this.loadUs = undefined;
    this.profiles.clear();
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

  /** Of a row in a batch as large as may be, on the fastest device class seen. */
  get fastestRowUs(): number {
    return this.fastestUs(this.rowsMax) / this.rowsMax;
  }

  /**
   * When the batch ends that has these rows behind so many others on a device, if there is no more
   * before them: all rows of a batch end together. 0 where no time is known.
   */
  batchEndsUs(aheadRows: number, rows: number): number {
    let soonestUs = Infinity;
    for (const profile of this.profiles.values()) {
      if (!profile.known) continue;
      const batchRows = profile.usualRows(this.rowsMax);
      const before = Math.floor(aheadRows / batchRows);
      const us =
        before === 0
          ? profile.meanUs(Math.max(rows, Math.min(batchRows, Math.ceil(aheadRows) + rows)))
          : (before + 1) * profile.meanUs(batchRows);
      soonestUs = Math.min(soonestUs, us);
    }
    return Number.isFinite(soonestUs) ? soonestUs : 0;
  }
}

/** Why nothing will answer for a version any more. */
export type Removed = "MODEL_NOT_FOUND" | "VERSION_NOT_FOUND";

/**
 * The versions that answer, and those that were asked for, kept in step with the registry: it may
 * hold many more, whose state is made when it is looked for.
 */
export class Models {
  readonly #byRef = new Map<string, ModelState>();
  /** Versions that were here and are removed, the oldest first; at the limit they are forgotten. */
  readonly #removed = new Set<string>();
  readonly #records = new Map<string, ModelRecord>();
  readonly #options: QueueOptions;
  /** Models whose queues are not empty. */
  readonly waiting = new Set<ModelState>();

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Makes that of a version of the registry where there is room; none goes for it. */
  get(ref: string): ModelState | undefined {
    const model = this.#byRef.get(ref);
    if (model !== undefined || this.#byRef.size >= MODELS_MAX) return model;
    return this.#specOf(ref) === undefined ? undefined : this.ensure(ref);
  }

  values(): IterableIterator<ModelState> {
    return this.#byRef.values();
  }

  /** The same for a ticket, also before the registry has spoken of it; undefined at the limit. */
  ensure(ref: string): ModelState | undefined {
    let model = this.#byRef.get(ref);
    if (model === undefined) {
      if (this.#byRef.size >= MODELS_MAX && !this.#dropIdle()) return undefined; // I6
      model = new ModelState(ref, this.#options);
      model.spec = this.#specOf(ref);
      this.#byRef.set(ref, model);
    }
    return model;
  }

  #specOf(ref: string): ModelSpec | undefined {
    const { name, version } = splitRef(ref);
    return this.#records.get(name)?.versions[String(version)];
  }

  /** What does not answer by the registry, and is asked for by nobody now, is made again. */
  #dropIdle(): boolean {
    for (const { queue, ref, wanted } of this.#byRef.values()) {
      if (wanted || queue.size > 0) continue;
      this.#byRef.delete(ref);
      return true;
    }
    return false;
  }

  record(name: string): ModelRecord | undefined {
    return this.#records.get(name);
  }

  /** Undefined for a version that may be known to others already. */
  removal(ref: string): Removed | undefined {
    if (!this.#removed.has(ref)) return undefined;
    return this.#records.has(splitRef(ref).name) ? "VERSION_NOT_FOUND" : "MODEL_NOT_FOUND";
  }

  /**
   * @param askedUs the time of last use for a version that is new, or answers from now on.
   * @returns versions that went with this, where tickets still wait for them.
   */
  changed(record: ModelRecord, askedUs: number): readonly ModelState[] {
    const before = this.#records.get(record.name);
    this.#records.set(record.name, record);
    for (const spec of Object.values(record.versions)) {
      const ref = modelRef(spec.name, spec.version);
      this.#removed.delete(ref);
      const wanted = record.loaded && spec.version === record.active;
      const model = wanted ? this.ensure(ref) : this.#byRef.get(ref);
      // At the limit its requests are told so.
      if (model === undefined) continue;
      const isNew = model.spec?.digest !== spec.digest;
      if (isNew) model.forget();
      model.spec = spec;
      if (wanted && (isNew || !model.wanted)) {
        model.lastUsedUs = Math.max(model.lastUsedUs, askedUs);
      }
      model.wanted = wanted;
    }
    const gone = Object.values(before?.versions ?? {}).filter(
      ({ version }) => record.versions[String(version)] === undefined,
    );
    return this.#drop(gone);
  }

  /** @returns versions for which tickets still wait. */
  removed(name: string): readonly ModelState[] {
    const record = this.#records.get(name);
    if (record === undefined) return [];
    this.#records.delete(name);
    return this.#drop(Object.values(record.versions));
  }

  #drop(specs: readonly ModelSpec[]): readonly ModelState[] {
    const waited: ModelState[] = [];
    for (const spec of specs) {
      const ref = modelRef(spec.name, spec.version);
      this.#removed.add(ref);
      if (this.#removed.size > MODELS_MAX) {
        this.#removed.delete(this.#removed.values().next().value as string); // I6
      }
      const model = this.#byRef.get(ref);
      if (model === undefined) continue;
      model.wanted = false;
      model.spec = undefined;
      this.#byRef.delete(ref);
      if (model.queue.size > 0) waited.push(model);
    }
    return waited;
  }
}
