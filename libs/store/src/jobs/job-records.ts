/** Records of jobs in a KV bucket: read from the leader, written by compare-and-set. */

import type { JetStreamClient } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import {
  decodeJson,
  encodeJson,
  type Fault,
  fault,
  JOB_STATE_BUCKET,
  type JobRecord,
  jobRecordSchema,
} from "@millrace/protocol";
import { assert, fail, isName, ok, type Result } from "@millrace/std";
import { CALL_MS_MAX } from "../storage.ts";
import { attempt, persist } from "./calls.ts";

const STREAM = `KV_${JOB_STATE_BUCKET}`;
const PREFIX = `$KV.${JOB_STATE_BUCKET}.`;
/** Compare-and-set rounds of one update: several runners end chunks of one job at a time. */
const ROUNDS_MAX = 64;

export interface JobRead {
  readonly record: JobRecord | undefined;
  /** What a write must still find; 0 where there never was a record. */
  readonly revision: number;
}

/** Gives the record to write, or the same one to write nothing. */
export type JobChange = (record: JobRecord | undefined) => Result<JobRecord | undefined, Fault>;

export interface JobRecords {
  read(tenant: string, job: string): Promise<Result<JobRead, Fault>>;
  /**
   * What stands afterwards; repeated while the broker is away. Faults: those of `change` and of
   * `jobFault`, REGISTRY_CONFLICT where others keep writing.
   * @param keptMs after which the written record expires; undefined for never.
   */
  update(
    tenant: string,
    job: string,
    change: JobChange,
    keptMs?: (record: JobRecord) => number | undefined,
  ): Promise<Result<JobRecord | undefined, Fault>>;
  /** Ids of the tenant's jobs, ended ones and those that are being received included, sorted. */
  list(tenant: string): Promise<Result<readonly string[], Fault>>;
}

export class KvJobRecords implements JobRecords {
  readonly #client: JetStreamClient;
  readonly #bucket: KV;

  constructor(client: JetStreamClient, bucket: KV) {
    this.#client = client;
    this.#bucket = bucket;
  }

  async read(tenant: string, job: string): Promise<Result<JobRead, Fault>> {
    const key = keyOf(tenant, job);
    const entry = await persist(`reading job ${job}`, () => this.#bucket.get(key));
    if (!entry.ok) return entry;
    assert(entry.value !== "conflict", "a read conflicts with nothing");
    if (entry.value === null) return ok({ record: undefined, revision: 0 });
    const { operation, revision, value } = entry.value;
    if (operation !== "PUT") return ok({ record: undefined, revision });
    const record = decodeJson(jobRecordSchema, value);
    if (record.ok) return ok({ record: record.value, revision });
    return fail(fault("INTERNAL", `the record of job ${job}: ${record.error.message}`));
  }

  async update(
    tenant: string,
    job: string,
    change: JobChange,
    keptMs: (record: JobRecord) => number | undefined = () => undefined,
  ): Promise<Result<JobRecord | undefined, Fault>> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const read = await this.read(tenant, job);
      if (!read.ok) return read;
      const changed = change(read.value.record);
      if (!changed.ok || changed.value === read.value.record || changed.value === undefined) {
        return changed;
      }
      const { value } = changed;
      // A write whose answer is lost may stand: it is read again, and `change` finds it done.
      const written = await this.#write(value, read.value.revision, keptMs(value));
      if (written.ok && written.value) return changed;
      if (!written.ok && written.error.code !== "DISCONNECTED") return written;
    }
    return fail(fault("REGISTRY_CONFLICT", `job ${job} keeps being changed by others`));
  }

  async list(tenant: string): Promise<Result<readonly string[], Fault>> {
    assert(isName(tenant), "a tenant is a name");
    const found = await attempt("listing jobs", async () => {
      const { streams } = await this.#client.jetstreamManager(false);
      return streams.info(STREAM, { subjects_filter: `${PREFIX}${tenant}.*` });
    });
    if (!found.ok) return found;
    assert(found.value !== "conflict", "a read conflicts with nothing");
    const start = PREFIX.length + tenant.length + 1;
    const subjects = Object.keys(found.value.state.subjects ?? {});
    return ok(subjects.map((subject) => subject.slice(start)).toSorted());
  }

  /** False when somebody else wrote it after it was read. */
  async #write(
    record: JobRecord,
    revision: number,
    keptMs: number | undefined,
  ): Promise<Result<boolean, Fault>> {
    const { tenant, id } = record;
    const written = await attempt(`writing job ${id}`, () =>
      this.#client.publish(PREFIX + keyOf(tenant, id), encodeJson(record), {
        expect: { lastSubjectSequence: revision },
        timeout: CALL_MS_MAX,
        ...(keptMs === undefined ? {} : { ttl: `${Math.max(1, Math.ceil(keptMs / 1000))}s` }),
      }),
    );
    return written.ok ? ok(written.value !== "conflict") : written;
  }
}

/** I9: tenants and jobs are names, so neither can widen a key. */
function keyOf(tenant: string, job: string): string {
  assert(isName(tenant) && isName(job), "tenants and jobs are names");
  return `${tenant}.${job}`;
}
