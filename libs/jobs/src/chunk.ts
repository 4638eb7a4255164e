/**
 * A chunk as bytes, and how items become chunks. A chunk is its head and then one line per item:
 * the item's own JSON, or `!` and the fault that it was refused with. The results of a chunk are
 * the lines that clients read.
 */

import {
  CHUNK_BYTES_TARGET,
  CHUNK_ITEMS_MAX,
  type ChunkHead,
  chunkHeadSchema,
  decodeJson,
  type ErrorCode,
  ERRORS,
  type Fault,
  fault,
} from "@millrace/protocol";
import { assert, fail, ok, type Result } from "@millrace/std";

/** JSON of an inference request without line breaks, or why there is none. */
export type Item =
  | { readonly ok: true; readonly json: string }
  | { readonly ok: false; readonly error: Fault };

export interface Chunk {
  readonly head: ChunkHead;
  readonly items: readonly Item[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const REFUSED = "!";

const lineOf = (item: Item): string => {
  if (item.ok) return item.json;
  const { code, message } = item.error;
  return REFUSED + JSON.stringify({ code, message });
};

export const encodeChunk = ({ head, items }: Chunk): Uint8Array =>
  encoder.encode([JSON.stringify(head), ...items.map(lineOf)].join("\n"));

export function decodeChunk(bytes: Uint8Array): Result<Chunk, Fault> {
  const [first = "", ...lines] = decoder.decode(bytes).split("\n");
  const head = decodeJson(chunkHeadSchema, first);
  if (!head.ok) return head;
  if (lines.length !== head.value.items) {
    const message = `${lines.length} items, its head says ${head.value.items}`;
    return fail(fault("INVALID_REQUEST", message));
  }
  return ok({ head: head.value, items: lines.map(readLine) });
}

function readLine(line: string): Item {
  if (!line.startsWith(REFUSED)) return { ok: true, json: line };
  const { code, message } = JSON.parse(line.slice(1)) as { code: string; message: string };
  const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : "INTERNAL";
  return { ok: false, error: fault(known, message) };
}

/** A line of the results for an item that failed. */
export const errorLine = (item: number, { code, message }: Fault): string =>
  JSON.stringify({ item, error: { code, message } });

/** A line of the results: the response's own JSON, and its binary outputs in base64. */
export const resultLine = (item: number, json: string, binary: readonly string[]): string =>
  binary.length === 0
    ? `{"item":${item},"response":${json}}`
    : `{"item":${item},"response":${json},"binary":${JSON.stringify(binary)}}`;

export type ChunkPlace = Pick<ChunkHead, "tenant" | "job" | "generation" | "model" | "version">;

/** Packs items into chunks in their order: equal items make equal chunks. */
export class ChunkPacker {
  readonly #place: ChunkPlace;
  #items: Item[] = [];
  #bytes = 0;
  #chunk = 0;
  #first = 0;

  constructor(place: ChunkPlace) {
    this.#place = place;
  }

  /** Items so far, those that are waiting for their chunk to be closed included. */
  get items(): number {
    return this.#first + this.#items.length;
  }

  /** Chunks that were closed. */
  get chunks(): number {
    return this.#chunk;
  }

  /** @param bytes of its JSON. @returns the chunk that the item closed, if it did. */
  add(item: Item, bytes: number): Chunk | undefined {
    const isFull = this.#items.length > 0 && this.#bytes + bytes > CHUNK_BYTES_TARGET;
    const closed = isFull ? this.close() : undefined;
    this.#items.push(item);
    this.#bytes += bytes;
    if (this.#items.length < CHUNK_ITEMS_MAX) return closed;
    // One item fills at most one of the two bounds: the items before it were as many as may be.
    assert(closed === undefined, "two chunks were closed by one item");
    return this.close();
  }

  /** The chunk of what is left. */
  close(): Chunk | undefined {
    const items = this.#items;
    if (items.length === 0) return undefined;
    const place = { chunk: this.#chunk, first: this.#first, items: items.length };
    const head: ChunkHead = { v: 1, ...this.#place, ...place };
    this.#chunk++;
    this.#first += items.length;
    this.#items = [];
    this.#bytes = 0;
    return { head, items };
  }
}
