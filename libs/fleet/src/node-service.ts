/** How a service of this repository is started as a process of this machine. */

import { fileURLToPath } from "node:url";
import type { SuperviseOptions } from "./supervise.ts";

/**
 * As in bootstrap.mjs: tensors live outside the heap, and count for the collector with this. And
 * the old generation is collected when heap and tensors have grown to five times what was left of
 * them: with heaps of 20 MB it was collected several times a second for nothing, at a third of the
 * processor time of a request of 600 KB (3.1 ms in all processes, 4.3 ms without it).
 *
 * The young generation is bounded: V8 doubles it whenever much survives, which a scheduler that
 * held 12 MB in all had done to 64 MB after three minutes of load. It starts small all the same:
 * 16 MB of it from the start do not fit a processor's cache, and made a single connection's request
 * a fifth slower.
 *
 * V8 waits with its best compiler for 3,000 calls of a function, and for 500 after a call that saw
 * a new type. What is done once per frame is called seldom: the first 15,000 requests of a single
 * connection took half as long again as later ones. With these numbers they take a tenth less.
 */
export const NODE_FLAGS: readonly string[] = [
  "--external-memory-accounted-in-global-limit",
  "--heap-growing-percent=400",
  "--max-semi-space-size=16",
  "--invocation-count-for-turbofan=800",
  "--minimum-invocations-after-ic-update=100",
];

/**
 * Where Node keeps what it compiled, types stripped: a start takes half of the processor time (a
 * worker's 0.5 s in place of 1.0 s), which is what others of the machine feel of it.
 */
const COMPILED = fileURLToPath(new URL("../../../.millrace/cache/compiled", import.meta.url));

/** @param env on top of this process's own. */
export function nodeService(
  entry: string,
  env: Readonly<Record<string, string>> = {},
): Pick<SuperviseOptions, "command" | "args" | "env"> {
  return {
    command: process.execPath,
    args: [...NODE_FLAGS, entry],
    env: { NODE_COMPILE_CACHE: COMPILED, ...process.env, ...env },
  };
}
