export { type Alarm, type AlarmLevel, type Budget, decideAlarm } from "./budget-alarm.ts";
export { type Baseline, type CostReport, type CostRow, reportCosts } from "./cost-report.ts";
export { DEFAULT_PRICE_BOOK } from "./default-prices.ts";
export {
  type Account,
  bookEntries,
  type Booked,
  type Charge,
  IDLE,
  type LedgerEntry,
  type PlaceCost,
  type UsageEntry,
  type WorkerEntry,
} from "./ledger.ts";
export { describeProblem, type Problem } from "./located-json.ts";
export { BATCH_WAIT_SECONDS_MAX, type ModelLimits, parseModelLimits } from "./model-limits.ts";
export { meterCsv, meterJsonLines } from "./metering.ts";
export { type BookedPeriod, bookPeriod } from "./period.ts";
export {
  cheapestOffer,
  type Lifecycle,
  MICROS,
  type Offer,
  offerKey,
  parsePriceBook,
  type PriceBook,
  type WorkerKind,
} from "./price-book.ts";
export { splitByWeight } from "./splitting.ts";
export {
  type BaselineName,
  BASELINES,
  ledgerOf,
  staticBaseline,
  unpricedWorkers,
  utilisationOf,
} from "./usage.ts";
