export { FAILED_WAIT_SECONDS, SLOW_WAIT_SECONDS } from "./fluid-queue.ts";
export { type ReplayWindow, TICK_US } from "./load.ts";
export { parseSpotTrace, type ReadSpotTrace } from "./parse-spot-trace.ts";
export { POLICIES, type Policy } from "./policies.ts";
export { type Replay, replay, type ReplayRequest, type ReplayRow } from "./replay.ts";
export type { PolicyRun } from "./run-policy.ts";
export { type SpotMarket, type SpotTrace } from "./spot-market.ts";
export { STRETCH_REQUESTS_MAX } from "./stretch.ts";
export type { Slice } from "./timeline.ts";
export type { Trial } from "./trial.ts";
export {
  PEAK_QUANTILE,
  PEAK_UTILISATION,
  REPLAY_SETTINGS,
  type ReplaySettings,
  type World,
} from "./world.ts";
