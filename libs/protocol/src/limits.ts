/** Every bound of the wire and of what crosses it. Reaching one is an error code, never growth. */

/** Bodies up to this size travel inside their ticket; larger ones stay at the ingress. */
export const INLINE_BODY_BYTES_MAX = 16 * 1024;
/** One coalesced frame; below the 1 MiB that every NATS server accepts by default. */
export const FRAME_BYTES_MAX = 512 * 1024;
/** One part of a body that is larger than a frame. */
export const PART_BYTES_MAX = 960 * 1024;
/** One HTTP request body, and one request's outputs. */
export const BODY_BYTES_MAX = 64 * 1024 * 1024;
/**
 * The JSON of one request: parsing blocks the event loop, and arrays cost many times their text.
 */
export const JSON_BYTES_MAX = 8 * 1024 * 1024;
/** Tickets in one frame, and items in one assignment or answer frame. */
export const FRAME_ITEMS_MAX = 1024;
/**
 * Strings in one tensor: to read one costs as much whether it is empty or long, and whoever reads
 * them does nothing else meanwhile.
 */
export const STRINGS_MAX = 65_536;
export const TENSOR_RANK_MAX = 8;
export const TENSORS_MAX = 64;
/** Rows in one batch, whatever a model declares. */
export const BATCH_ROWS_MAX = 1024;
export const DEADLINE_US_MAX = 600_000_000;
/** Attempts of one request, the first and the hedge included. */
export const ATTEMPTS_MAX = 4;
export const MODELS_MAX = 10_000;
export const VERSIONS_MAX = 1_000;

/** Heartbeats of schedulers and workers. */
export const HEARTBEAT_US = 100_000;
/** A member not heard for this long gets no new work. */
export const SUSPECT_AFTER_US = 350_000;
/** A member not heard for this long is forgotten. */
export const FORGET_AFTER_US = 10_000_000;
