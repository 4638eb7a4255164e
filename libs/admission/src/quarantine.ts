/**
 * Decides when an input is the likely cause that workers end. A worker may end with many requests;
 * each of them is tried once more, by itself on a device. Whoever loses that one too is not tried
 * again. A worker that only falls silent, or a batch that had not begun, says nothing of an input:
 * those come back as BATCH_LOST and not as WORKER_LOST.
 *
 * Workers are counted, and not what is said of them: a device that hangs is found out by each
 * scheduler for itself, and costs every attempt that was given to it meanwhile, but is one. A
 * worker that was restarted and is lost again is two.
 */

import { type Fault, fault, isWorkerProcess, workerOf } from "@millrace/protocol";
import type { Loss, Open } from "./table.ts";

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

export const isQuarantined = (open: Open, workersLostMax: number): boolean =>
  open.lost.length >= workersLostMax && workersLost(open).length >= workersLostMax;

export function quarantineFault(open: Open): Fault {
  const workers = workersLost(open);
  const names = workers.map((name) => (isWorkerProcess(name) ? workerOf(name) : name));
  const lost = `${workers.length} workers were lost while they ran this input`;
  return fault("INPUT_QUARANTINED", `${lost}: ${names.join(", ")}; do not send it again`);
}
