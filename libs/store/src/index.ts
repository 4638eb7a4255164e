export { type BlobCache, type BlobCacheOptions, createBlobCache } from "./cache.ts";
export { type Blobs, BLOB_BYTES_MAX } from "./blobs.ts";
export { digestOf, isDigest } from "./digest.ts";
export {
  activate,
  addVersion,
  checkProvenance,
  findSame,
  type ModelDraft,
  removeVersion,
  rollback,
  setLoaded,
  unreferenced,
} from "./records.ts";
export type { RecordChange, Registry } from "./registry.ts";
export { openStore, type Store, type StoreOptions } from "./store.ts";
export type { RegistryWatcher } from "./watch.ts";
