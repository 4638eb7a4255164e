/** Chunks that were given up: listed, and taken back for another try, by `admin`. */

import { type JetStreamClient, JetStreamApiError, type MsgRequest } from "@nats-io/jetstream";
import { DEAD_STREAM, type Fault, JOB_RESULT_STREAM, subjects } from "@millrace/protocol";
import { assert, ok, type Result } from "@millrace/std";
import { attempt } from "./calls.ts";
import { type ChunkKey, DEAD_CODE, DEAD_REASON } from "./job-results.ts";

export interface DeadLetter extends ChunkKey {
  readonly seq: number;
  readonly code: string;
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
  /** The chunk as it was in the queue. */
  readonly chunk: Uint8Array;
}

/** Letters of one listing. */
export const DEAD_LIST_MAX = 1_000;
const NO_MESSAGE = 10037;

export class DeadLetters {
  readonly #client: JetStreamClient;

  constructor(client: JetStreamClient) {
    this.#client = client;
  }

  /** The oldest first, `DEAD_LIST_MAX` at most. @param filter `*` for every one. */
  async list(tenant = "*", job = "*"): Promise<Result<readonly DeadLetter[], Fault>> {
    const filter = subjects.jobDead(tenant, job, "*");
    const listed = await attempt("listing dead letters", async () => {
      const { streams } = await this.#client.jetstreamManager(false);
      const letters: DeadLetter[] = [];
      for (let seq = 1; letters.length < DEAD_LIST_MAX;) {
        let message;
        try {
          // The server knows this form of the query, the client's types do not.
          const query = { seq, next_by_subj: filter } as unknown as MsgRequest;
          message = await streams.getMessage(DEAD_STREAM, query);
        } catch (error) {
          if (error instanceof JetStreamApiError && error.code === NO_MESSAGE) break;
          throw error;
        }
        if (message === null) break;
        const [, , of = "", id = "", token = ""] = message.subject.split(".");
        letters.push({
          tenant: of,
          job: id,
          token,
          seq: message.seq,
          code: message.header.get(DEAD_CODE),
          reason: message.header.get(DEAD_REASON),
          at: message.timestamp,
          chunk: message.data,
        });
        seq = message.seq + 1;
      }
      return letters;
    });
    if (!listed.ok) return listed;
    assert(listed.value !== "conflict", "a read conflicts with nothing");
    return ok(listed.value);
  }

  /** The chunk has no result any more, so that the next one stands. */
  async clearResult({ tenant, job, token }: ChunkKey): Promise<Result<void, Fault>> {
    const filter = subjects.jobResult(tenant, job, token);
    const cleared = await attempt("clearing a result", async () => {
      const { streams } = await this.#client.jetstreamManager(false);
      await streams.purge(JOB_RESULT_STREAM, { filter });
    });
    return cleared.ok ? ok(undefined) : cleared;
  }

  async remove({ seq }: DeadLetter): Promise<Result<void, Fault>> {
    const removed = await attempt("removing a dead letter", async () => {
      const { streams } = await this.#client.jetstreamManager(false);
      await streams.deleteMessage(DEAD_STREAM, seq, false);
    });
    return removed.ok ? ok(undefined) : removed;
  }
}
