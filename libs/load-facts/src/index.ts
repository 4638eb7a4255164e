export { addFact, factKey, factsOfTrace, mergeFacts, rollUp, seriesOfFacts } from "./facts.ts";
export { formatFacts, isFactsFile, parseFacts } from "./facts-csv.ts";
export { fillGap, findGaps } from "./gaps.ts";
export { parseTrace } from "./parse-trace.ts";
export { cutSeries, DAY_US, endUs, HOUR_US, MINUTE_US, resample, type Series } from "./series.ts";
export {
  amountProblem,
  describeProblem,
  type LineProblem,
  parseAmount,
  parseTable,
  problemAt,
  type Row,
  type Table,
} from "./table.ts";
export { formatTimestamp, parseTimestampUs } from "./timestamp.ts";
export type { Repair, Trace, TraceOptions } from "./trace.ts";
