/**
 * Gathers what one turn of the event loop has to say to one receiver, and says it in one message:
 * at small sizes cost is per message and not per byte.
 *
 * The turn ends at `setImmediate`, after every socket that was ready has been read. A microtask
 * runs after each socket already: under 64 HTTP connections it gathered 1.0 items a frame, this 30,
 * for 2.4 times the requests a second; with one connection they are equally fast.
 */

import { FRAME_BYTES_MAX, FRAME_ITEMS_MAX } from "@millrace/protocol";
import type { Bus } from "./bus.ts";

/** Room for what a frame has besides its items: two names and a count. */
const HEAD_BYTES_MAX = 256;

export interface OutboxOptions<T> {
  readonly bus: Pick<Bus, "publish">;
  /** What the item adds to its frame. */
  readonly bytesOf: (item: T) => number;
  /** One frame; `items` are at most FRAME_ITEMS_MAX of one key, in the order of their arrival. */
  readonly encode: (key: string, items: readonly T[]) => Uint8Array;
  /** The bus is not connected: these were not sent. Pushing from here is allowed. */
  readonly dropped: (subject: string, key: string, items: readonly T[]) => void;
}

interface Frame<T> {
  /** Subject and key; a subject has no space. */
  readonly name: string;
  readonly subject: string;
  readonly key: string;
  readonly items: T[];
  bytes: number;
}

export class Outbox<T> {
  readonly #options: OutboxOptions<T>;
  #open = new Map<string, Frame<T>>();
  /** Most pushes are for the same frame as the one before. */
  #last: Frame<T> | undefined;

  constructor(options: OutboxOptions<T>) {
    this.#options = options;
  }

  /** Adds to the frame for `subject` and `key`, which leaves when this turn ends. */
  push(subject: string, key: string, item: T): void {
    const bytes = this.#options.bytesOf(item);
    let frame = this.#frameFor(subject, key);
    // I6: what waits is bounded, because a full frame leaves at once.
    while (isFull(frame, bytes)) {
      this.#open.delete(frame.name);
      this.#last = undefined;
      this.#send(frame);
      frame = this.#frameFor(subject, key);
    }
    frame.items.push(item);
    frame.bytes += bytes;
  }

  /** Sends everything now. */
  flush(): void {
    const frames = this.#open;
    if (frames.size === 0) return;
    // A new one: a map that is cleared again and again keeps what it held (see std's NumberMap).
    this.#open = new Map();
    this.#last = undefined;
    for (const frame of frames.values()) this.#send(frame);
  }

  #frameFor(subject: string, key: string): Frame<T> {
    const last = this.#last;
    if (last !== undefined && last.subject === subject && last.key === key) return last;
    const name = `${subject} ${key}`;
    let frame = this.#open.get(name);
    if (frame === undefined) {
      if (this.#open.size === 0) setImmediate(() => this.flush());
      frame = { name, subject, key, items: [], bytes: HEAD_BYTES_MAX };
      this.#open.set(name, frame);
    }
    this.#last = frame;
    return frame;
  }

  #send({ subject, key, items }: Frame<T>): void {
    const { bus, encode, dropped } = this.#options;
    if (!bus.publish(subject, encode(key, items))) dropped(subject, key, items);
  }
}

/** A frame takes any one item: what is larger than a frame travels in parts, not through here. */
const isFull = (frame: Frame<unknown>, bytes: number): boolean =>
  frame.items.length === FRAME_ITEMS_MAX ||
  (frame.items.length > 0 && frame.bytes + bytes > FRAME_BYTES_MAX);
