export { type Backoff, DEFAULT_BACKOFF, restartDelayMs } from "./backoff.ts";
export { LINE_CHARACTERS_MAX, type LineSplitter, splitLines } from "./lines.ts";
export {
  type ChildEvent,
  describeExit,
  type EndReason,
  type Exit,
  EXIT_MISCONFIGURED,
  supervise,
  Supervised,
  type SuperviseOptions,
} from "./supervise.ts";
