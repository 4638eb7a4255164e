export { type BlobCache, type BlobCacheOptions, createBlobCache } from "./cache.ts";
export type { StoredBlob } from "./blob-entries.ts";
export type { Blobs } from "./blobs.ts";
export { digestOf, isDigest } from "./digest.ts";
export { type DeadLetter, DeadLetters } from "./jobs/dead-letters.ts";
export type { JobObjects, StoredObject, Upload } from "./jobs/job-objects.ts";
export type { JobChange, JobRead, JobRecords } from "./jobs/job-records.ts";
export type { ChunkCounts, ChunkKey, JobResults } from "./jobs/job-results.ts";
export { type JobStore, openJobStore } from "./jobs/job-store.ts";
export type { FairQueue } from "./jobs/lane-queue.ts";
export { readOpenJobs } from "./jobs/open-jobs.ts";
export { ACK_WAIT_MS, type JobStorageOptions } from "./jobs/job-streams.ts";
export type { Task, WorkQueue } from "./jobs/work-queue.ts";
export {
  activate,
  addVersion,
  checkProvenance,
  digestsOf,
  findSame,
  type ModelDraft,
  removeVersion,
  rollback,
  setLoaded,
} from "./records.ts";
export type { RecordChange, Registry } from "./registry.ts";
export { sweepBlobs } from "./sweep.ts";
export { openStore, type Store, type StoreOptions } from "./store.ts";
export { nextMessage, type Page, PAGE_MAX, type PagesOptions, pagesOf } from "./stream-pages.ts";
export type { RegistryWatcher } from "./watch.ts";
export { CALL_MS_MAX, isConflict, storageFault } from "./storage.ts";
