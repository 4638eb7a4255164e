export { type DueWork, FILL_SHARE, fillByDue, fillTroughs, type TroughStep } from "./deferring.ts";
export {
  type Counted,
  FleetCore,
  type FleetEffect,
  type FleetEvent,
  type FleetOptions,
  type FleetProblem,
  type Place,
} from "./fleet-core.ts";
export {
  type Decision,
  FOLLOW_OPTIONS,
  FollowingCore,
  type FollowOptions,
  type Observed,
} from "./following.ts";
export { packModels, type Packed, type PackKind, type PackModel } from "./packing.ts";
export {
  type Capacity,
  countOf,
  type Deferrable,
  describeReason,
  type DueRequests,
  type ModelDemand,
  type Placement,
  type Plan,
  PLAN_RULES,
  plannedWorkers,
  type PlanRules,
  type PlanStep,
  type Reason,
  type Shortfall,
  SPOT_RULES,
  type SpotRules,
  type WorkerGroup,
} from "./plan.ts";
export { planFleet, type PlanRequest } from "./plan-fleet.ts";
export { saneRates, type SaneRates } from "./sane-rates.ts";
export {
  blendedMicrosPerHour,
  type Ground,
  needBehind,
  priceOf,
  spreadWorkers,
  workersPaid,
} from "./spreading.ts";
export { STEP_RULE, type StepRule, workersByRule } from "./step-rule.ts";
