/**
 * The models that can be asked for, as the registry has them, and which version of each answers. A
 * version that was made active takes traffic once a live worker holds it ready; until then the one
 * before goes on, so that an update fails no request.
 */

import {
  type Fault,
  fault,
  type ModelRecord,
  modelRef,
  type ModelSpec,
  type Resident,
  splitRef,
} from "@millrace/protocol";
import { prepareSignature, type Signature } from "@millrace/openinference";
import { fail, ok, type Result } from "@millrace/std";
import { ModelStatistics } from "./statistics.ts";

export interface ServedModel {
  readonly spec: ModelSpec;
  /** `name@version`. */
  readonly ref: string;
  readonly signature: Signature;
  readonly statistics: ModelStatistics;
}

interface Entry {
  readonly record: ModelRecord;
  readonly models: ReadonlyMap<number, ServedModel>;
  /** The version that answers; undefined until somebody asks. */
  serving: number | undefined;
}

export class Catalogue {
  readonly #entries = new Map<string, Entry>();
  readonly #isReady: (ref: string) => boolean;
  /** Known versions (I6) that a worker held ready and none has failed to load since. */
  readonly #proven = new Set<string>();
  #state: "unread" | "current" = "unread";

  /** @param isReady whether a live worker holds the version ready. */
  constructor(isReady: (ref: string) => boolean) {
    this.#isReady = isReady;
  }

  /** The registry was read as a whole: from now on, what is not here does not exist. */
  complete(): void {
    this.#state = "current";
  }

  get isComplete(): boolean {
    return this.#state === "current";
  }

  changed(record: ModelRecord): void {
    const before = this.#entries.get(record.name);
    const models = new Map<number, ServedModel>();
    for (const spec of Object.values(record.versions)) {
      const known = before?.models.get(spec.version);
      models.set(
        spec.version,
        known !== undefined && isSame(known.spec, spec) ? known : serve(spec),
      );
    }
    this.#entries.set(record.name, { record, models, serving: before?.serving });
    for (const { ref, spec } of before?.models.values() ?? []) {
      if (!record.loaded || models.get(spec.version)?.ref !== ref) this.#proven.delete(ref);
    }
  }

  removed(name: string): void {
    for (const { ref } of this.#entries.get(name)?.models.values() ?? []) this.#proven.delete(ref);
    this.#entries.delete(name);
  }

  /** What a worker says that it holds. */
  heard(residents: readonly Pick<Resident, "ref" | "state">[]): void {
    for (const { ref, state } of residents) {
      if (state === "ready") {
        const { name, version } = splitRef(ref);
        const entry = this.#entries.get(name);
        if (entry?.record.loaded && entry.models.has(version)) this.#proven.add(ref);
      } else if (state === "failed" && !this.#isReady(ref)) this.#proven.delete(ref);
    }
  }

  /**
   * True for a version that left every device, for want of requests or of memory, and comes back
   * for the next request, which waits. It counts as ready, as one scaled to zero does in KServe and
   * one on standby in its ModelMesh: a prober that held requests back would keep it away for good.
   */
  isStandby(ref: string): boolean {
    return this.#proven.has(ref) && !this.#isReady(ref);
  }

  /** All records, by name. */
  records(): readonly ModelRecord[] {
    return [...this.#entries.values()]
      .map(({ record }) => record)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Every version that is known. */
  *models(): Generator<ServedModel> {
    for (const { models } of this.#entries.values()) yield* models.values();
  }

  record(name: string): Result<ModelRecord, Fault> {
    const entry = this.#entry(name);
    return entry.ok ? ok(entry.value.record) : entry;
  }

  /** A version, or the one that answers; whether it is loaded or not. */
  describe(name: string, version: number | undefined): Result<ServedModel, Fault> {
    const entry = this.#entry(name);
    if (!entry.ok) return entry;
    const { models, record } = entry.value;
    const model = models.get(version ?? this.#serving(entry.value));
    if (model !== undefined) return ok(model);
    const known = Object.keys(record.versions).join(", ");
    const message = `${name} has no version ${version ?? record.active}; it has ${known}`;
    return fail(fault("VERSION_NOT_FOUND", message));
  }

  /** What a request to the model goes to. */
  serve(name: string, version: number | undefined): Result<ServedModel, Fault> {
    const entry = this.#entry(name);
    if (!entry.ok) return entry;
    if (!entry.value.record.loaded) {
      return fail(fault("NOT_LOADED", `${name} is unloaded; see \`millrace model load\``));
    }
    return this.describe(name, version);
  }

  #entry(name: string): Result<Entry, Fault> {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return ok(entry);
    return fail(
      this.#state === "current"
        ? fault("MODEL_NOT_FOUND", `there is no model ${name}`)
        : fault("DISCONNECTED", "the registry of models could not be read yet"),
    );
  }

  #serving(entry: Entry): number {
    const { record, models } = entry;
    const { active, previous } = record;
    if (entry.serving === active) return active;
    // After a restart it is not known what served before; what is ready is the better guess.
    const before = entry.serving ?? previous;
    const stays =
      before !== undefined &&
      models.has(before) &&
      !this.#isReady(modelRef(record.name, active)) &&
      (entry.serving !== undefined || this.#isReady(modelRef(record.name, before)));
    entry.serving = stays ? before : active;
    return entry.serving;
  }
}

const serve = (spec: ModelSpec): ServedModel => ({
  spec,
  ref: modelRef(spec.name, spec.version),
  signature: prepareSignature(spec),
  statistics: new ModelStatistics(),
});

/** A number can come back with another model behind it, after the whole record was removed. */
const isSame = (a: ModelSpec, b: ModelSpec): boolean => JSON.stringify(a) === JSON.stringify(b);
