/** Says in words why a request failed. */

import { type Answer, type ErrorCode, ERRORS, type Fault, fault } from "@millrace/protocol";
import type { Open } from "./table.ts";

const MESSAGE_BYTES_MAX = 2_000;
const utf8 = new TextDecoder();

/** What the worker or scheduler said of its error, or what the code means. */
export const faultOf = (code: ErrorCode, { body }: Answer): Fault =>
  fault(code, utf8.decode(body.subarray(0, MESSAGE_BYTES_MAX)) || ERRORS[code].meaning);

/** @param connected whether the broker can be reached. */
export function deadlineFault(open: Open, connected: boolean): Fault {
  if (!connected) return fault("DISCONNECTED", "the cluster's broker cannot be reached");
  if (open.attempt === 0) return fault("NO_SCHEDULER", "no scheduler was alive in time");
  const message = `no answer within ${open.request.deadlineUs - open.arrivedUs} us`;
  return fault("DEADLINE_EXCEEDED", `${message}, after ${open.tries} attempts`);
}
