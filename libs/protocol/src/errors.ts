/**
 * The closed catalogue of error codes. A code is never reused and never changes its number; clients
 * compare codes, not messages. `retry` says whether the same request may succeed elsewhere or
 * later: the ingress retries `elsewhere` by itself inside the deadline, clients may retry `later`.
 */

export type Retry = "never" | "elsewhere" | "later";

interface ErrorEntry {
  /** The number on the wire between services; 0 means no error. */
  readonly number: number;
  readonly status: number;
  readonly retry: Retry;
  readonly meaning: string;
}

const entry = (number: number, status: number, retry: Retry, meaning: string): ErrorEntry => ({
  number,
  status,
  retry,
  meaning,
});

export const ERRORS = {
  INVALID_JSON: entry(1, 400, "never", "the body is not the JSON that the route expects"),
  INVALID_REQUEST: entry(2, 400, "never", "a field is missing, unknown or of the wrong type"),
  INVALID_NAME: entry(3, 400, "never", "a name has characters that names may not have"),
  INVALID_PARAMETER: entry(4, 400, "never", "a request parameter has a value it may not have"),
  MISSING_INPUT: entry(5, 400, "never", "an input of the model's signature is missing"),
  UNKNOWN_INPUT: entry(6, 400, "never", "the model has no input of this name"),
  DUPLICATE_INPUT: entry(7, 400, "never", "an input was given twice"),
  UNKNOWN_OUTPUT: entry(8, 400, "never", "the model has no output of this name"),
  WRONG_DATATYPE: entry(9, 400, "never", "an input's datatype differs from the signature's"),
  WRONG_SHAPE: entry(10, 400, "never", "an input's shape does not fit the signature"),
  WRONG_BYTE_COUNT: entry(11, 400, "never", "an input's bytes do not match its shape"),
  WRONG_VALUE: entry(12, 400, "never", "an element cannot be represented in the datatype"),
  BATCH_TOO_LARGE: entry(
    13,
    400,
    "never",
    "the request has more rows than the model's batch limit",
  ),
  TRUNCATED_BODY: entry(14, 400, "never", "the body ended before its declared length"),
  INPUT_REJECTED: entry(15, 400, "never", "the model could not run on this input"),
  INPUT_QUARANTINED: entry(
    17,
    422,
    "never",
    "two workers were lost while they ran this input; it is not tried again",
  ),
  UNSUPPORTED_ENCODING: entry(16, 400, "never", "the body's encoding is not accepted"),
  WEBHOOK_REFUSED: entry(18, 400, "never", "the webhook's address is not allowed here"),
  UNAUTHENTICATED: entry(20, 401, "never", "no valid API key came with the request"),
  FORBIDDEN: entry(21, 403, "never", "the API key does not permit this"),
  ROUTE_NOT_FOUND: entry(30, 404, "never", "there is no such route"),
  MODEL_NOT_FOUND: entry(31, 404, "never", "there is no model of this name"),
  VERSION_NOT_FOUND: entry(32, 404, "never", "the model has no such version"),
  METHOD_NOT_ALLOWED: entry(33, 405, "never", "the route does not take this method"),
  JOB_NOT_FOUND: entry(34, 404, "never", "there is no such job, or it is no longer kept"),
  OBJECT_NOT_FOUND: entry(35, 404, "never", "there is no such object, or it is no longer kept"),
  RESULTS_GONE: entry(36, 410, "never", "the results are no longer kept"),
  BODY_TOO_LARGE: entry(40, 413, "never", "the body is larger than the limit"),
  RATE_LIMITED: entry(41, 429, "later", "this API key has used its share"),
  JOBS_FULL: entry(43, 429, "later", "this API key has as much queued as it may"),
  CANCELLED: entry(42, 499, "never", "the client closed the connection"),
  REQUEST_TIMEOUT: entry(44, 408, "later", "the request did not arrive completely in time"),
  EXPECTATION_FAILED: entry(45, 417, "never", "an Expect header other than 100-continue"),
  HEAD_TOO_LARGE: entry(46, 431, "never", "the request's line and headers are over the limit"),
  INTERNAL: entry(50, 500, "never", "a defect in Millrace"),
  EXECUTION_FAILED: entry(51, 500, "elsewhere", "the device failed while running the batch"),
  UNSUPPORTED: entry(52, 501, "never", "not supported"),
  QUEUE_FULL: entry(60, 503, "later", "the model's queue is at its limit"),
  OVERLOADED: entry(61, 503, "later", "the ingress is at its limit of requests or bytes"),
  DEADLINE_UNREACHABLE: entry(62, 503, "later", "the predicted finish is past the deadline"),
  DEADLINE_EXCEEDED: entry(63, 503, "later", "the deadline passed before an answer came"),
  NO_SCHEDULER: entry(64, 503, "elsewhere", "no scheduler is alive"),
  NO_DEVICE: entry(65, 503, "later", "no device can hold the model"),
  LOAD_FAILED: entry(66, 503, "later", "the model could not be loaded"),
  WORKER_LOST: entry(67, 503, "elsewhere", "the worker was lost before it answered"),
  STALE_ASSIGNMENT: entry(
    68,
    503,
    "elsewhere",
    "the batch reached the device past its latest start",
  ),
  NOT_LOADED: entry(69, 503, "elsewhere", "the device no longer holds the model"),
  BODY_GONE: entry(70, 503, "elsewhere", "the ingress no longer holds the tensors"),
  DRAINING: entry(71, 503, "elsewhere", "the member is shutting down"),
  OUT_OF_MEMORY: entry(72, 503, "elsewhere", "the device had no memory left for the batch"),
  DISCONNECTED: entry(73, 503, "later", "the cluster's broker cannot be reached"),
  BATCH_LOST: entry(
    75,
    503,
    "elsewhere",
    "the batch was lost before it ran, or its answer on the way",
  ),
  OUTPUT_TOO_LARGE: entry(74, 500, "never", "the outputs are larger than the limit"),
  STORAGE_FULL: entry(77, 503, "later", "the cluster's storage takes nothing more"),
  GIVEN_UP: entry(76, 500, "never", "it failed too often, and is kept as a dead letter"),
  MODEL_CORRUPT: entry(80, 400, "never", "the file is not a valid ONNX model"),
  MODEL_UNSUPPORTED: entry(81, 400, "never", "the model needs something that is not available"),
  MODEL_TOO_LARGE: entry(82, 413, "never", "the model is larger than the limit"),
  PROVENANCE_MISSING: entry(83, 400, "never", "source, upstream name and licence are required"),
  DIGEST_MISMATCH: entry(84, 500, "later", "the stored bytes do not have the registered digest"),
  MODEL_EXISTS: entry(85, 409, "never", "the model or version is already there"),
  REGISTRY_CONFLICT: entry(86, 409, "later", "the registry was changed by somebody else meanwhile"),
  JOB_CONFLICT: entry(87, 409, "never", "the Idempotency-Key was used for something else"),
  JOB_NOT_ENDED: entry(88, 409, "later", "the job has not ended yet"),
  LEASE_LOST: entry(89, 409, "never", "somebody else has taken over what is written here"),
  FAULT_NO_TARGET: entry(120, 404, "never", "the fault is aimed at nobody who is here"),
  FAULT_PROTECTED: entry(121, 403, "never", "the fault is aimed at what injects and heals faults"),
  FAULT_BLAST_RADIUS: entry(122, 403, "later", "the fault would hit more than it may"),
  FAULT_UNAVAILABLE: entry(123, 501, "never", "this fault cannot be injected here"),
  FAULT_DISABLED: entry(124, 403, "never", "faults are not enabled here"),
  FAULT_UNKNOWN: entry(125, 404, "never", "no fault of this id is under way"),
  FAULT_FAILED: entry(126, 500, "later", "the fault could not be injected; nothing is left of it"),
  CLUSTER_UNHEALTHY: entry(127, 503, "later", "the cluster is not well enough for a fault"),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** A failure as a value: a code from the catalogue, and what was wrong and expected in words. */
export interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
  /** When a client may try again, for `later` codes. */
  readonly retryAfterUs?: number;
}

export const fault = (code: ErrorCode, message: string): Fault => ({ code, message });

const BY_NUMBER = new Map<number, ErrorCode>(
  Object.entries(ERRORS).map(([code, { number }]) => [number, code as ErrorCode]),
);

/** The code of a wire number; an unknown number, from a newer peer, reads as INTERNAL. */
export const codeOfNumber = (number: number): ErrorCode => BY_NUMBER.get(number) ?? "INTERNAL";

/** A fault carried by an exception, for code that cannot return a Result. */
export class FaultError extends Error {
  override readonly name = "FaultError";
  readonly fault: Fault;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = { code, message };
  }
}
