/** Who a worker is, and the bound of everything that it may hold. */

import type { Device, WorkerHeartbeat } from "@millrace/protocol";

export interface WorkerLimits {
  /** Batches held, the running one included. */
  readonly batchesMax: number;
  /** Bodies held or awaited, inline and remote. */
  readonly bodiesBytesMax: number;
  /** How long a remote body may take. */
  readonly fetchUsMax: number;
  /** Runs that one batch may take, when it fails and is split. */
  readonly runsMax: number;
  /** A run that takes longer has wedged the device. */
  readonly runUsMax: number;
  readonly residentsMax: number;
  /** An input that is known to run is kept per model, up to this size each, to tell a bad input
   * from a broken device; so many models have one. */
  readonly witnessBytesMax: number;
  readonly witnessesMax: number;
  /** How long a load that failed is shown. */
  readonly failedUs: number;
  /** How long a load waits that ran out of memory against the estimate; doubles each time. */
  readonly shortageUs: number;
  /** So many batches in a row that ran nothing, by no input's fault, speak against the copy. */
  readonly failingBatches: number;
  /** And are until a batch runs, this long after the last one that did not. */
  readonly failingUs: number;
  /** A load is started only if this many times the file's size is free. */
  readonly memoryFactor: number;
  /** A drain lasts at least this long: what was sent before the schedulers knew still comes. */
  readonly drainUsMin: number;
  /** What is still held after this long in a drain is given back. */
  readonly drainUsMax: number;
  readonly schedulersMax: number;
  readonly schedulerIdleUsMax: number;
}

export const WORKER_LIMITS: WorkerLimits = {
  batchesMax: 64,
  bodiesBytesMax: 512 * 1024 * 1024,
  fetchUsMax: 2_000_000,
  runsMax: 64,
  runUsMax: 120_000_000,
  residentsMax: 1024,
  witnessBytesMax: 1024 * 1024,
  witnessesMax: 64,
  failedUs: 15_000_000,
  shortageUs: 500_000,
  failingBatches: 2,
  failingUs: 500_000,
  memoryFactor: 1.2,
  drainUsMin: 200_000,
  drainUsMax: 25_000_000,
  schedulersMax: 64,
  schedulerIdleUsMax: 60_000_000,
};

export interface WorkerOptions {
  readonly id: string;
  readonly role: WorkerHeartbeat["role"];
  /** What it says of its machine, as it was told. */
  readonly place?: Pick<WorkerHeartbeat, "kind" | "zone" | "lifecycle">;
  /** Drawn at process start, 32 bits: an assignment to another one is refused. */
  readonly incarnation: number;
  /** The device as it was read at the start. */
  readonly device: Device;
  /** Defaults: {@link WORKER_LIMITS}. */
  readonly limits?: Partial<WorkerLimits>;
}
