export { Corpus } from "./corpus.ts";
export { Generator } from "./generator.ts";
export { type Ledger, LedgerFile, readLedger } from "./ledger-file.ts";
export type { Ended } from "./messages.ts";
export { drillModel, LOOKUP } from "./models.ts";
export type {
  ItemEntry,
  JobEntry,
  LedgerEntry,
  LoadJobs,
  LoadSettings,
  LoadShare,
  RequestEntry,
} from "./settings.ts";
export { LoadProcess, type Progress } from "./start-load.ts";
