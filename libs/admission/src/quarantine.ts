/**
 * Decides when an input is the likely cause that workers end. A worker may end with many requests;
 * each of them is tried once more, by itself on a device. Whoever loses that one too is not tried
 * again. A worker that only falls silent, or a batch that had not begun, says nothing of an input:
 * those come back as BATCH_LOST and not as WORKER_LOST.
 *
 * Workers are counted, and not what is said of them: a device that hangs is found out by each
 * scheduler for itself, and costs every attempt that was given to it meanwhile, but is one. A
 * worker that was restarted and is lost again is two.
 *
 * A loss speaks against the input only if it was not one of many: where a worker that never had the
 * input ended within the same second, both have another cause in common. Nobody may be left who did
 * not have it: then losses that are further apart than that still speak, and so does a third one,
 * or an input could end a small fleet again and again. The others' ends become known a little later
 * than the loss, so a verdict waits for them.
 */

import { type Fault, fault, isWorkerProcess, workerOf } from "@millrace/protocol";
import type { Devices } from "./devices.ts";
import type { Loss, Open } from "./table.ts";

/** What a verdict depends on. */
export interface QuarantineOptions {
  readonly workersLostMax: number;
  readonly commonCauseUs: number;
}

/**
 * Counts an attempt once, though the worker and its scheduler may both say that it is lost, and
 * also where it is no longer waited for.
 */
export function noteLost(open: Open, loss: Loss): void {
  if (!open.lost.some(({ attempt }) => attempt === loss.attempt)) open.lost = [...open.lost, loss];
}

/** The processes that were lost with the request, each once. */
const workersLost = ({ lost }: Open): readonly string[] => [
  ...new Set(lost.map(({ worker }) => worker)),
];

/** `suspected`: enough workers were lost with it for a verdict, and it may still be innocent. */
export type Suspicion = "innocent" | "suspected" | "guilty";

export function suspicionOf(open: Open, { workersLostMax }: QuarantineOptions): Suspicion {
  if (open.lost.length < workersLostMax) return "innocent";
  const excess = workersLost(open).length - workersLostMax;
  if (excess < 0) return "innocent";
  return excess === 0 ? "suspected" : "guilty";
}

/** The verdict, once the ends of others are known. */
export function isQuarantined(
  open: Open,
  options: QuarantineOptions,
  devices: Devices,
  nowUs: number,
): boolean {
  const suspicion = suspicionOf(open, options);
  if (suspicion !== "suspected") return suspicion === "guilty";
  const isWitnessed = devices.livesOther(workersLost(open).map(idOf), nowUs);
  const speaking = open.lost.filter((loss) => speaks(open, loss, isWitnessed, options, devices));
  return new Set(speaking.map(({ worker }) => worker)).size >= options.workersLostMax;
}

/** @param isWitnessed a worker lives that did not have the input. */
function speaks(
  open: Open,
  { worker, atUs }: Loss,
  isWitnessed: boolean,
  { commonCauseUs }: QuarantineOptions,
  devices: Devices,
): boolean {
  if (devices.endings.isAnyAbout(atUs, commonCauseUs, workersLost(open))) return false;
  if (isWitnessed) return true;
  return open.lost.every(
    (other) => other.worker === worker || Math.abs(other.atUs - atUs) >= commonCauseUs,
  );
}

const idOf = (worker: string): string => (isWorkerProcess(worker) ? workerOf(worker) : worker);

export function quarantineFault(open: Open): Fault {
  const workers = workersLost(open);
  const lost = `${workers.length} workers were lost while they ran this input`;
  return fault(
    "INPUT_QUARANTINED",
    `${lost}: ${workers.map(idOf).join(", ")}; do not send it again`,
  );
}
