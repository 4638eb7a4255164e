/** Why a worker turns work away, in the words that clients and logs get. */

import { type Fault, fault } from "@millrace/protocol";
import { formatBytes } from "@millrace/std";

export const BODY_GONE = fault("BODY_GONE", "the ingress no longer holds the tensors");
export const BODY_LATE = fault("BODY_GONE", "the tensors did not come from the ingress in time");
export const DEADLINE = fault("DEADLINE_EXCEEDED", "the deadline passed before the batch ran");
export const DRAINING = fault("DRAINING", "the worker is shutting down");
export const OTHER_PROCESS = fault(
  "STALE_ASSIGNMENT",
  "assigned to an earlier process of this worker",
);
export const STALE = fault("STALE_ASSIGNMENT", "the batch's turn came past its latest start");

export const notLoaded = (model: string): Fault =>
  fault("NOT_LOADED", `the device does not hold ${model} any more; it is tried where it is ready`);
export const tooManyRows = (rowsMax: number): Fault =>
  fault("BATCH_TOO_LARGE", `the model takes at most ${rowsMax} rows`);
export const tooMany = (batchesMax: number): Fault =>
  fault("STALE_ASSIGNMENT", `the worker holds its limit of ${batchesMax} batches`);
export const tooManyBytes = (bytesMax: number): Fault =>
  fault("STALE_ASSIGNMENT", `the worker holds its limit of ${formatBytes(bytesMax)} of tensors`);
