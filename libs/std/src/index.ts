export { AssertionError, assert, present, unreachable } from "./assert.ts";
export { formatBytes, formatTable, formatUs } from "./format.ts";
export { hash32, mix32, rendezvousOwner } from "./hash.ts";
export { Heap } from "./heap.ts";
export type { Log } from "./log.ts";
export { isName, NAME_RULE } from "./names.ts";
export { type Random, seededRandom } from "./random.ts";
export { type Fail, fail, type Ok, ok, type Result } from "./result.ts";
export { Ring } from "./ring.ts";
