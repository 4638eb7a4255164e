/**
 * Collects the old generation once small objects have made it grow. V8 would wait for heap and
 * tensors together to reach five times what a collection left of them (see fleet's NODE_FLAGS):
 * after requests of 600 KB that is some hundred megabytes more, which small requests fill in a
 * quarter of an hour with what nobody needs. A collection takes 7 to 10 ms, and under full load one
 * is due every two minutes.
 */

import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

export interface OldGenerationOptions {
  readonly lookMs: number;
  /** Since the last collection. */
  readonly grownBytesMax: number;
}

const DEFAULTS: OldGenerationOptions = { lookMs: 30_000, grownBytesMax: 16 * 1024 * 1024 };

type Collect = (how: { readonly type: "major"; readonly execution: "async" }) => Promise<void>;

const usedBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name: name }) => name === "old_space")?.space_used_size ??
  0;

export function boundOldGeneration(options: Partial<OldGenerationOptions> = {}): Disposable {
  const { lookMs, grownBytesMax } = { ...DEFAULTS, ...options };
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as Collect;
  let leastBytes = usedBytes();
  const look = async (): Promise<void> => {
    const bytes = usedBytes();
    // V8 has collected it itself.
    leastBytes = Math.min(leastBytes, bytes);
    if (bytes - leastBytes > grownBytesMax) {
      await collect({ type: "major", execution: "async" });
      leastBytes = usedBytes();
    }
    timer.refresh();
  };
  const timer = setTimeout(() => void look(), lookMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
