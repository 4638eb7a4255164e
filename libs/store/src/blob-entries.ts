/**
 * The entries of the bucket of blobs: when each was last put, and a removal that fails where it was
 * put again meanwhile. The client's own removal takes what somebody has just come to rely on.
 */

import { JsHeaders, type JetStreamClient } from "@nats-io/jetstream";
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { BLOB_BUCKET } from "@millrace/protocol";
import { isDigest } from "./digest.ts";
import { CALL_MS_MAX, isConflict } from "./storage.ts";

export interface StoredBlob {
  readonly digest: string;
  /** When it was last put, in Unix milliseconds of the server. */
  readonly putAtMs: number;
  /** Another one after every put. */
  readonly revision: number;
}

/** What the object store writes down of an object; the rest of it is kept as it is. */
interface Entry {
  readonly subject: string;
  readonly nuid: string;
  readonly deleted: boolean;
  readonly text: string;
  readonly revision: number;
  readonly putAtMs: number;
}

const STREAM = `OBJ_${BLOB_BUCKET}`;
const ENTRIES = `$O.${BLOB_BUCKET}.M.`;
/** Entries read at a time. */
const READS_MAX = 64;
/** Somebody puts the blob again in each lost round, so few are enough. */
const ROUNDS_MAX = 4;

export class BlobEntries {
  readonly #client: JetStreamClient;

  constructor(client: JetStreamClient) {
    this.#client = client;
  }

  /** Those of blobs that are there. @throws the client's errors. */
  async list(): Promise<readonly StoredBlob[]> {
    const { streams } = await this.#client.jetstreamManager(false);
    const { state } = await streams.info(STREAM, { subjects_filter: `${ENTRIES}>` });
    const digests = Object.keys(state.subjects ?? {})
      .map((subject) => Buffer.from(subject.slice(ENTRIES.length), "base64url").toString())
      .filter(isDigest)
      .toSorted();
    const found: StoredBlob[] = [];
    for (let at = 0; at < digests.length; at += READS_MAX) {
      const some = digests.slice(at, at + READS_MAX);
      const entries = await Promise.all(some.map((digest) => this.#find(digest)));
      for (const [index, entry] of entries.entries()) {
        if (entry === undefined || entry.deleted) continue;
        const { revision, putAtMs } = entry;
        found.push({ digest: some[index] as string, putAtMs, revision });
      }
    }
    return found;
  }

  /** The blob counts as put just now; false where there is none. @throws the client's errors. */
  async touch(digest: string): Promise<boolean> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const entry = await this.#find(digest);
      if (entry === undefined || entry.deleted) return false;
      if (await this.#replace(entry, entry.text)) return true;
    }
    return false;
  }

  /** False where it was put again since it was listed, or is gone. @throws the client's errors. */
  async remove({ digest, revision }: StoredBlob): Promise<boolean> {
    const entry = await this.#find(digest);
    if (entry === undefined || entry.deleted || entry.revision !== revision) return false;
    const gone = { ...JSON.parse(entry.text), deleted: true, size: 0, chunks: 0, digest: "" };
    if (!(await this.#replace(entry, JSON.stringify(gone)))) return false;
    const { streams } = await this.#client.jetstreamManager(false);
    await streams.purge(STREAM, { filter: `$O.${BLOB_BUCKET}.C.${entry.nuid}` });
    return true;
  }

  /** Undefined for what the object store has not written, too: it is nothing to remove. */
  async #find(digest: string): Promise<Entry | undefined> {
    const { streams } = await this.#client.jetstreamManager(false);
    const subject = subjectOf(digest);
    const message = await streams.getMessage(STREAM, { last_by_subj: subject });
    if (message === null) return undefined;
    const text = message.string();
    const { nuid, deleted } = parse(text);
    if (typeof nuid !== "string" || nuid === "") return undefined;
    const { seq: revision, time } = message;
    return { subject, nuid, deleted: deleted === true, text, revision, putAtMs: time.getTime() };
  }

  /** False when somebody else wrote it after it was read. */
  async #replace({ subject, revision }: Entry, text: string): Promise<boolean> {
    try {
      await this.#client.publish(subject, text, {
        headers: rollUp(),
        expect: { lastSubjectSequence: revision },
        timeout: CALL_MS_MAX,
      });
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }
}

/** The object store's own names: base64 with padding, which a digest always needs. */
const subjectOf = (digest: string): string =>
  `${ENTRIES}${Buffer.from(digest).toString("base64url")}==`;

/** The newest entry takes the place of the others. */
function rollUp(): MsgHdrs {
  const head = headers();
  head.set(JsHeaders.RollupHdr, JsHeaders.RollupValueSubject);
  return head;
}

function parse(text: string): { readonly nuid?: unknown; readonly deleted?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
