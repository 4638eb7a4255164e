export type { AddedLatency, FaultLatency } from "./added-latency.ts";
export { type Availability, availabilityOf } from "./availability.ts";
export {
  type Act,
  type Action,
  type AddedLatencyObjective,
  type Bounds,
  type ClusterWish,
  type Drill,
  type Guard,
  type JobLoad,
  kindOf,
  type Load,
  type LoadFault,
  type Metric,
  METRICS,
  type Objectives,
  type OverloadObjective,
  type Probe,
  type RetryBudgetObjective,
  type Share,
  type TimeWindow,
  UNBOUNDED,
} from "./drill.ts";
export {
  describeTargets,
  type FaultEffect,
  faultEffects,
  type InjectedFault,
  slowUsOf,
} from "./effects.ts";
export { brokenGuard, inside, type ReadMetric } from "./guards.ts";
export {
  type ActivityRun,
  type DrillResult,
  type Journal,
  JOURNAL_VERSION,
  type JournalStatus,
  type MemberMemory,
  type MillraceJournal,
  type ProbeRun,
  resultOf,
  type SteadyState,
} from "./journal.ts";
export type { Evidence, Row } from "./evidence.ts";
export { describeFailure, judge, type Judgement } from "./judge.ts";
export {
  type Ending,
  LATE_SLACK_US,
  type LedgerItem,
  type LedgerJob,
  type LedgerRequest,
  type Span,
  type Verdict,
  verdictOf,
} from "./ledger.ts";
export type { RestLevel } from "./observe.ts";
export { type Attempts, type OverloadFigures, sheddingSpans } from "./overload.ts";
export {
  type DrillPlan,
  planDrill,
  type PlanMember,
  type PlannedStep,
  type PlanOptions,
} from "./plan.ts";
export { parseWords } from "./provider.ts";
export type { RetryBudgetFigures } from "./retry-budget.ts";
export { readDrill } from "./read-drill.ts";
export { type Path, type Problem, showSpan, spanUs } from "./reading.ts";
export { type DrillSeries, type Figures, type Sample, seriesOf } from "./series.ts";
export { closedReason } from "./time-window.ts";
