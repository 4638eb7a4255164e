/**
 * What a stream holds, page by page, by looking up single messages: a consumer would bring it
 * faster, but whoever may make one has what is stored delivered to any subject (I9).
 */

import type { JetStreamClient, StoredMsg } from "@nats-io/jetstream";
import { assert } from "@millrace/std";

type Streams = Awaited<ReturnType<JetStreamClient["jetstreamManager"]>>["streams"];

export interface PagesOptions {
  readonly stream: string;
  /** Default: every subject of the stream. */
  readonly subject?: string | undefined;
  /** Default: from the first that is kept. */
  readonly fromSeq?: number | undefined;
  /** Unix microseconds: what was stored from then on. Default: all that is kept. */
  readonly sinceUs?: number | undefined;
}

export interface Page {
  /** In the order of the stream, `PAGE_MAX` at most. */
  readonly messages: readonly StoredMsg[];
  /** Where the next page begins. */
  readonly nextSeq: number;
}

const STRANDS = 32;
const STRAND_MAX = 32;
/** I6: messages that are in memory at a time. */
export const PAGE_MAX = STRANDS * STRAND_MAX;

/** The first message at `seq` or after it; null at the end. */
export function nextMessage(
  streams: Streams,
  stream: string,
  seq: number,
  subject = ">",
): Promise<StoredMsg | null> {
  // The client's type knows only one half of what the server takes together.
  const query = { seq, next_by_subj: subject };
  return streams.getMessage(stream, query);
}

/**
 * What is there when it is called, and not what comes meanwhile. The last page says where to go on
 * with the next call, also where it is empty. @throws the client's errors.
 */
export async function* pagesOf(streams: Streams, options: PagesOptions): AsyncGenerator<Page> {
  const { fromSeq = 0, sinceUs, stream, subject } = options;
  const { first_seq: firstSeq, last_seq: lastSeq } = (await streams.info(stream)).state;
  let at = Math.max(1, firstSeq, fromSeq);
  if (sinceUs !== undefined) at = await firstSince(streams, stream, sinceUs, at, lastSeq);
  do {
    const endSeq = Math.min(at + PAGE_MAX, lastSeq + 1);
    const strands: Promise<StoredMsg[]>[] = [];
    for (let from = at; from < endSeq; from += STRAND_MAX) {
      strands.push(strand(streams, options, from, Math.min(from + STRAND_MAX, endSeq)));
    }
    const messages = (await Promise.all(strands)).flat();
    assert(messages.length <= PAGE_MAX, `${subject ?? stream}: a page is bounded`);
    at = endSeq;
    yield { messages, nextSeq: at };
  } while (at <= lastSeq);
}

/** Those of `fromSeq` up to, and without, `endSeq`, one after the other. */
async function strand(
  streams: Streams,
  { stream, subject }: PagesOptions,
  fromSeq: number,
  endSeq: number,
): Promise<StoredMsg[]> {
  const found: StoredMsg[] = [];
  for (let at = fromSeq; at < endSeq;) {
    const message = await nextMessage(streams, stream, at, subject);
    if (message === null || message.seq >= endSeq) break;
    found.push(message);
    at = message.seq + 1;
  }
  return found;
}

/** The first number from `lowSeq` on whose message was stored at `sinceUs` or later. */
async function firstSince(
  streams: Streams,
  stream: string,
  sinceUs: number,
  lowSeq: number,
  lastSeq: number,
): Promise<number> {
  let low = lowSeq;
  let high = lastSeq + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const message = await nextMessage(streams, stream, middle);
    if (message === null || message.time.getTime() * 1000 >= sinceUs) high = middle;
    else low = message.seq + 1;
  }
  return low;
}
