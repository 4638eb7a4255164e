export { type Document, Documents } from "./documents.ts";
export { EventLog, type EventLogOptions, type ReadOptions } from "./event-log.ts";
export { Lease, type LeaseOptions } from "./lease.ts";
export { openStorage, type StorageOptions } from "./storage.ts";
export { createHistory, ledgerKey, openHourFacts, openLedger, openMinuteFacts } from "./streams.ts";
