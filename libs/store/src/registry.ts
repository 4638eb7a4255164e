/**
 * The registry of models: one JSON record per model name in a KV bucket. Every write is a
 * compare-and-set on the revision that was read, so two writers never lose each other's change.
 * The realtime path never reads it: services watch it and keep what they saw.
 */

import type { JetStreamClient } from "@nats-io/jetstream";
import type { KV, KvEntry } from "@nats-io/kv";
import {
  type Fault,
  fault,
  type ModelRecord,
  MODELS_MAX,
  REGISTRY_BUCKET,
} from "@millrace/protocol";
import { assert, fail, isName, NAME_RULE, ok, type Result } from "@millrace/std";
import { decodeRecord, encodeRecord } from "./record-bytes.ts";
import { isConflict, storageFault } from "./storage.ts";
import { type RegistryWatcher, warn, Watch } from "./watch.ts";

const STREAM = `KV_${REGISTRY_BUCKET}`;
const SUBJECT_PREFIX = `$KV.${REGISTRY_BUCKET}.`;
/** Compare-and-set rounds of one update. Somebody wins each round, so few are enough. */
const ROUNDS_MAX = 16;
/** Records read at a time by `list`. */
const READS_MAX = 64;

/** Gives the record to write, the same one to write nothing, or undefined to remove the model. */
export type RecordChange = (
  record: ModelRecord | undefined,
) => Result<ModelRecord | undefined, Fault>;

export interface Registry {
  /**
   * Resolves after every present record was given to `changed`, and goes on until disposed.
   * Waits where the registry cannot be read yet, saying so through `problem`, and catches up after
   * a reconnect. Rejects only when the connection closes first, with a FaultError, or `signal` ends
   * the wait, with its reason.
   */
  watch(watcher: RegistryWatcher, signal?: AbortSignal): Promise<AsyncDisposable>;
  /** Undefined where there is no such model. Faults: INVALID_NAME, those of `storageFault`. */
  get(name: string): Promise<Result<ModelRecord | undefined, Fault>>;
  /** Every record that validates, by name; the others are reported as process warnings. */
  list(): Promise<Result<readonly ModelRecord[], Fault>>;
  /** The same, and INTERNAL where there is one that does not validate: then not all are known. */
  listAll(): Promise<Result<readonly ModelRecord[], Fault>>;
  /**
   * What stands in the registry afterwards. `change` may be called several times. Adds the faults
   * of `change`, REGISTRY_CONFLICT, OVERLOADED (too many models) and MODEL_TOO_LARGE (of versions).
   */
  update(name: string, change: RecordChange): Promise<Result<ModelRecord | undefined, Fault>>;
}

interface Read {
  readonly record: ModelRecord | undefined;
  /** What a write must still find; 0 for a key that never was. */
  readonly revision: number;
}

export class KvRegistry implements Registry {
  readonly #jetstream: JetStreamClient;
  readonly #bucket: KV;
  readonly #watches = new Set<Watch>();
  #open = true;

  constructor(jetstream: JetStreamClient, bucket: KV) {
    this.#jetstream = jetstream;
    this.#bucket = bucket;
  }

  /** The connection is back after a loss. */
  reconnected(): void {
    for (const watch of this.#watches) watch.resync();
  }

  /** The connection is gone for good. */
  async closed(): Promise<void> {
    this.#open = false;
    for (const watch of this.#watches) await watch[Symbol.asyncDispose]();
  }

  async watch(watcher: RegistryWatcher, signal?: AbortSignal): Promise<AsyncDisposable> {
    signal?.throwIfAborted();
    const watch = new Watch(this.#jetstream, watcher);
    this.#watches.add(watch);
    const end = async (): Promise<void> => {
      this.#watches.delete(watch);
      await watch[Symbol.asyncDispose]();
    };
    const abort = (): void => void end();
    signal?.addEventListener("abort", abort);
    try {
      if (!this.#open) await end();
      await watch.current;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
    return { [Symbol.asyncDispose]: end };
  }

  async get(name: string): Promise<Result<ModelRecord | undefined, Fault>> {
    const read = await this.#read(name);
    return read.ok ? ok(read.value.record) : read;
  }

  list(): Promise<Result<readonly ModelRecord[], Fault>> {
    return this.#list(warn);
  }

  listAll(): Promise<Result<readonly ModelRecord[], Fault>> {
    return this.#list(undefined);
  }

  /** @param pass is told of records that do not validate; without it they are faults. */
  async #list(
    pass: ((unreadable: Fault) => void) | undefined,
  ): Promise<Result<readonly ModelRecord[], Fault>> {
    const names = await this.#names();
    if (!names.ok) return names;
    const records: ModelRecord[] = [];
    for (let at = 0; at < names.value.length; at += READS_MAX) {
      const some = names.value.slice(at, at + READS_MAX);
      for (const read of await Promise.all(some.map((name) => this.#read(name)))) {
        if (read.ok) {
          if (read.value.record !== undefined) records.push(read.value.record);
        } else if (pass !== undefined && read.error.code === "INTERNAL") pass(read.error);
        else return read;
      }
    }
    return ok(records);
  }

  async update(
    name: string,
    change: RecordChange,
  ): Promise<Result<ModelRecord | undefined, Fault>> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const read = await this.#read(name);
      if (!read.ok) return read;
      const changed = change(read.value.record);
      if (!changed.ok || changed.value === read.value.record) return changed;
      const written = await this.#write(name, read.value, changed.value);
      if (!written.ok) return written;
      if (written.value) return changed;
    }
    return fail(fault("REGISTRY_CONFLICT", `${name} keeps being changed by others; try again`));
  }

  async #read(name: string): Promise<Result<Read, Fault>> {
    if (!isName(name)) return fail(fault("INVALID_NAME", `a model's name is ${NAME_RULE}`));
    let entry: KvEntry | null;
    try {
      entry = await this.#bucket.get(name);
    } catch (error) {
      return fail(storageFault(error, `reading ${name} from the registry`));
    }
    if (entry === null) return ok({ record: undefined, revision: 0 });
    const { revision } = entry;
    if (entry.operation !== "PUT") return ok({ record: undefined, revision });
    const record = decodeRecord(name, entry.value);
    return record.ok ? ok({ record: record.value, revision }) : record;
  }

  /** False when somebody else wrote the key after it was read. */
  async #write(
    name: string,
    before: Read,
    after: ModelRecord | undefined,
  ): Promise<Result<boolean, Fault>> {
    const previousSeq = before.revision;
    try {
      if (after === undefined) {
        await this.#bucket.purge(name, { previousSeq });
        return ok(true);
      }
      assert(after.name === name, `the record of ${name} names ${after.name}`);
      const encoded = encodeRecord(after);
      if (!encoded.ok) return encoded;
      if (before.record === undefined) {
        const room = await this.#room();
        if (!room.ok) return room;
      }
      await this.#bucket.put(name, encoded.value, { previousSeq });
      return ok(true);
    } catch (error) {
      if (isConflict(error)) return ok(false);
      return fail(storageFault(error, `writing ${name} to the registry`));
    }
  }

  // I6: the registry is bounded by the number of models, and by the size of each record.
  async #room(): Promise<Result<void, Fault>> {
    const names = await this.#names();
    if (!names.ok) return names;
    if (names.value.length < MODELS_MAX) return ok(undefined);
    const records = await this.list();
    if (!records.ok) return records;
    if (records.value.length < MODELS_MAX) return ok(undefined);
    return fail(fault("OVERLOADED", `the registry holds ${MODELS_MAX} models, its limit`));
  }

  /** The names that have or had a record, sorted. */
  async #names(): Promise<Result<readonly string[], Fault>> {
    try {
      const { streams } = await this.#jetstream.jetstreamManager(false);
      const { state } = await streams.info(STREAM, { subjects_filter: ">" });
      const names = Object.keys(state.subjects ?? {}).map((key) =>
        key.slice(SUBJECT_PREFIX.length),
      );
      return ok(names.filter(isName).toSorted());
    } catch (error) {
      return fail(storageFault(error, "listing the registry"));
    }
  }
}
