/**
 * Decides when an input is the likely cause that workers end. A worker may end with many requests;
 * each of them is tried once more, by itself on a device. Whoever loses that one too is not tried
 * again. A worker that only falls silent, or a batch that had not begun, says nothing of an input:
 * those come back as BATCH_LOST and not as WORKER_LOST.
 */

import { type Fault, fault } from "@millrace/protocol";
import type { Open } from "./table.ts";

/**
 * Counts a lost worker once, though it and its scheduler may both say so, and also where the
 * attempt is no longer waited for.
 */
export function noteLost(open: Open, attempt: number): void {
  if (!open.lost.includes(attempt)) open.lost = [...open.lost, attempt];
}

export function quarantineFault({ lost }: Open): Fault {
  const workers = `${lost.length} workers were lost`;
  return fault("INPUT_QUARANTINED", `${workers} while they ran this input; do not send it again`);
}
