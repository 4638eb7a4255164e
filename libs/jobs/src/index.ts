export {
  type Chunk,
  ChunkPacker,
  type ChunkPlace,
  decodeChunk,
  encodeChunk,
  errorLine,
  type Item,
  resultLine,
} from "./chunk.ts";
export { type Line, LineSplitter } from "./lines.ts";
export { addMember, countMembers, hasMember, isRangeSet, removeMember } from "./ranges.ts";
export {
  begin,
  cancel,
  type ChunkEnd,
  commit,
  countWait,
  finishChunk,
  isAccepted,
  isEnded,
  type JobDraft,
  reopenChunk,
  type Submitted,
} from "./record.ts";
export {
  chunkDelayUs,
  DELIVERIES_MAX,
  giveUp,
  itemDelayUs,
  judge,
  PATIENCE_US,
  SUSPECT_TRIES_MAX,
  type Verdict,
} from "./retry.ts";
export { HOOK_TRIES_MAX, hookDelayUs, isDelivered, isRefusedForGood } from "./webhooks.ts";
export { ItemWindow, WINDOW_DEFAULTS, type WindowOptions } from "./window.ts";
