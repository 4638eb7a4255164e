/**
 * What a message of onnxruntime means. It has no codes that reach JavaScript, so its wording is all
 * there is; a wording that is not known here is an ordinary failure of that batch or file.
 */

import { type DeviceClass, type Fault, fault } from "@millrace/protocol";

const anyOf = (...patterns: readonly string[]): RegExp => new RegExp(patterns.join("|"), "i");

const OUT_OF_MEMORY = anyOf(
  "out of memory|failed to allocate|bad_alloc|cannot allocate|allocation failed|ALLOC_FAILED",
  "cudaErrorMemoryAllocation|CUDA (?:failure|error) 2\\b|smaller than requested bytes",
  "invalid array (?:buffer )?length",
);

/**
 * After these the device answers nothing right any more in this process: CUDA keeps returning the
 * error (sticky errors), and a lost device does not come back.
 */
const POISONED = anyOf(
  "CUDA (?:failure|error):? (?:46|214|215|219|700|701|702|709|710|71[4-9]|720|999)\\b",
  "illegal memory access|illegal address|cudaErrorIllegalAddress",
  "unspecified launch failure|cudaErrorLaunchFailure",
  "misaligned address|device-side assert|illegal instruction|hardware stack error",
  "uncorrectable ECC|ECC error",
  "device(?: is| was|) lost|GPU is lost|device removed|DEVICE_LOST|DEVICE_REMOVED",
  "\\bXid\\b",
);

const UNSUPPORTED = anyOf(
  "no op registered|could not find an implementation|not implemented|unsupported",
  "no opset import for domain|is not a registered function/op",
  "is under development and support for this is limited",
);

const CORRUPT = anyOf(
  "protobuf|no graph was found|does not have a graph|invalid model|invalid proto|type error",
  "model data pointer is null|not acyclic|shape inference error|invalid tensor",
  "unexpected end|duplicate|wasn't found|does not exist",
);

export interface RunFailure {
  readonly fault: Fault;
  /** The device is poisoned: the process must end. */
  readonly fatal: boolean;
}

/**
 * A failed run; which of a batch's items is to blame is not known here. A processor cannot be
 * poisoned, and a node may have any name: neither may end a worker by what a message quotes.
 */
export function runFailure(message: string, device: DeviceClass): RunFailure {
  const accelerated = device === "cuda" || device === "webgpu";
  const fatal = accelerated && POISONED.test(message.replace(/Name:'[^']*'/g, ""));
  const code = !fatal && OUT_OF_MEMORY.test(message) ? "OUT_OF_MEMORY" : "EXECUTION_FAILED";
  return { fault: fault(code, shortMessage(message)), fatal };
}

/** A file that onnxruntime would not open. */
export function fileFault(message: string): Fault {
  const short = shortMessage(message);
  if (OUT_OF_MEMORY.test(message)) return fault("OUT_OF_MEMORY", short);
  if (UNSUPPORTED.test(message)) return fault("MODEL_UNSUPPORTED", short);
  if (CORRUPT.test(message)) return fault("MODEL_CORRUPT", short);
  return fault("MODEL_UNSUPPORTED", short);
}

const MESSAGE_LENGTH_MAX = 300;

/** The first line, without where in onnxruntime's sources it was thrown. */
export function shortMessage(message: string): string {
  const line = message
    .split("\n", 1)
    .join("")
    .replace(/\/\S*onnxruntime\/\S+\.(?:cc|h|cpp|cu):\d+ .*?\)(?:::<lambda\(\)>)? /g, "")
    .replace(/\s+/g, " ")
    .trim();
  return line.length <= MESSAGE_LENGTH_MAX ? line : `${line.slice(0, MESSAGE_LENGTH_MAX - 3)}...`;
}

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
