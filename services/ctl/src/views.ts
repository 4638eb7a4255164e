/** The cluster at one moment, for tables and for JSON. */

import type { Device, Lifecycle, Resident, WorkerHeartbeat } from "@millrace/protocol";

export interface WorkerView {
  readonly id: string;
  readonly role: WorkerHeartbeat["role"];
  /** Of its machine, as far as it was told. */
  readonly kind?: string | undefined;
  readonly zone?: string | undefined;
  readonly lifecycle?: Lifecycle | undefined;
  readonly state: WorkerHeartbeat["state"];
  readonly device: Device;
  /** Batches held, and the time that they are expected to take. */
  readonly inFlight: number;
  readonly backlogUs: number;
  readonly models: readonly Pick<Resident, "ref" | "state" | "bytes">[];
}

export interface SchedulerView {
  readonly id: string;
  readonly state: WorkerHeartbeat["state"];
  readonly queuedRows: number;
  readonly batchRowsMean: number | undefined;
}

export interface IngressView {
  readonly id: string;
  readonly open: number;
  readonly openBytes: number;
  readonly requestsPerSecond: number;
}

export interface ModelView {
  readonly ref: string;
  /** False after `unload`. */
  readonly loaded: boolean;
  /** Devices that have it. */
  readonly ready: number;
  readonly queuedRows: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number | undefined;
  readonly p99Us: number | undefined;
  readonly errors: number;
}

export interface ClusterView {
  readonly workers: readonly WorkerView[];
  readonly schedulers: readonly SchedulerView[];
  readonly ingresses: readonly IngressView[];
  readonly models: readonly ModelView[];
}
