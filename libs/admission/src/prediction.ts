/** Refuses at the door what its scheduler predicts to be late: now, not when it is. */

import type { Fault } from "@millrace/protocol";
import type { Request } from "./events.ts";
import type { Load } from "./models.ts";

const REALTIME = 0;
const RETRY_AFTER_US_MIN = 100_000;

/** Undefined when the deadline can be met, as far as the owner's last heartbeat tells. */
export function predictMiss(request: Request, load: Load, nowUs: number): Fault | undefined {
  // A realtime request passes the queue that the prediction counts.
  const takesUs = load.computeUs + (request.tier === REALTIME ? 0 : load.waitUs);
  const remainingUs = request.deadlineUs - nowUs;
  if (takesUs <= remainingUs) return undefined;
  return {
    code: "DEADLINE_UNREACHABLE",
    message: `${request.model} would take ${takesUs} us, the deadline is in ${remainingUs} us`,
    // By then the queue is shorter by what is missing now.
    retryAfterUs: Math.max(RETRY_AFTER_US_MIN, takesUs - remainingUs),
  };
}
