export { type Document, Documents } from "./documents.ts";
export { EventLog, type EventLogOptions, type ReadOptions } from "./event-log.ts";
export { Lease, type LeaseOptions } from "./lease.ts";
export { createHistory, openHourFacts, openLedger, openMinuteFacts } from "./streams.ts";
