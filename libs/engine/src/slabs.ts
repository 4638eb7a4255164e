/**
 * The buffers in which batches cross to the thread: moved there, and moved back with the answer to
 * be used again, because a fresh buffer of a large batch costs more in page faults than the copy
 * into it. Shared memory would not need to be moved, but V8 copies into it byte by byte from
 * sources that are not aligned: ten times as slow.
 */

const SLAB_BYTES_MIN = 64 * 1024;
/** Larger ones are left to the garbage collector; what is kept is bounded. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;
/** One runs, one waits for it, one is on its way back. */
const KEPT_MAX = 3;

export class Slabs {
  readonly #kept: ArrayBuffer[] = [];

  /** At least `bytes`; what it holds is left over from before. */
  take(bytes: number): ArrayBuffer {
    const at = this.#kept.findIndex((slab) => slab.byteLength >= bytes);
    const kept = at < 0 ? undefined : this.#kept.splice(at, 1)[0];
    if (kept !== undefined) return kept;
    return new ArrayBuffer(2 ** Math.ceil(Math.log2(Math.max(bytes, SLAB_BYTES_MIN))));
  }

  give(slab: ArrayBuffer): void {
    if (slab.byteLength > KEPT_BYTES_MAX) return;
    this.#kept.push(slab);
    if (this.#kept.length > KEPT_MAX) this.#kept.shift();
  }
}
