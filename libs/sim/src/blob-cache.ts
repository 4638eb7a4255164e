/** The files that a worker keeps on its disk: they outlive its processes, and can go bad there. */

import type { Random } from "@millrace/std";

const FETCH_US = 20_000;
const BAD = "bytes that nobody registered";

export class BlobCache {
  /** What really is in the file of each digest. */
  readonly #files = new Map<string, string>();

  /** The file as it is read: checked, and fetched again where it is not what it should be (I8). */
  get(digest: string, checks: boolean): { readonly digest: string; readonly fetchUs: number } {
    const kept = this.#files.get(digest);
    if (kept !== undefined && (kept === digest || !checks)) return { digest: kept, fetchUs: 0 };
    this.#files.set(digest, digest);
    return { digest, fetchUs: FETCH_US };
  }

  /** Bytes of one of the files change. */
  corrupt(random: Random): void {
    const digest = [...this.#files.keys()][random.below(this.#files.size)];
    if (digest !== undefined) this.#files.set(digest, BAD);
  }
}
