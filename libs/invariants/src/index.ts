export { checkBounds } from "./bounds.ts";
export { checkCheckedBytes } from "./checked-bytes.ts";
export {
  type Checker,
  type Handlers,
  type InvariantId,
  INVARIANTS,
  Observer,
  type Report,
  type Violation,
} from "./checker.ts";
export { checkDeviceLimits } from "./device-limits.ts";
export type { Fact, FactType, Outcome } from "./facts.ts";
export { checkOneAnswer } from "./one-answer.ts";
export { checkOneEffect } from "./one-effect.ts";
export { checkOwnAnswer } from "./own-answer.ts";
export { checkRecovery } from "./recovery.ts";
export { checkUrgentFirst } from "./urgent-first.ts";
export { checkWorkConserved, type WorkConservedOptions } from "./work-conserved.ts";
