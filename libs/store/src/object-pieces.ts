/** The bytes of a stored object as they come, for as long as they come. */

import type { ObjectResult } from "@nats-io/obj";

/** Longest silence in the middle of an object. */
const SILENCE_MS_MAX = 5_000;

/**
 * The client waits for the rest of an object for ever, also where its bytes were taken away
 * meanwhile. Only the wait for the store counts, and not how long the taker has a piece.
 * @throws Error named TimeoutError where the store falls silent; the client's own for bytes that
 *   do not fit their digest, and for a connection that is lost.
 */
export async function* piecesOf({ data, error }: ObjectResult): AsyncGenerator<Uint8Array> {
  // A promise beside the stream: it says again what the stream says.
  error.catch(() => undefined);
  const reader = data.getReader();
  let silent = false;
  const giveUp = (): void => {
    silent = true;
    void reader.cancel().catch(() => undefined);
  };
  try {
    for (;;) {
      const late = setTimeout(giveUp, SILENCE_MS_MAX);
      const { done, value } = await reader.read().finally(() => clearTimeout(late));
      if (silent) throw new DOMException("the store fell silent", "TimeoutError");
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
