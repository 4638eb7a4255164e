/** Trace ids: the client's from a W3C `traceparent`, or new ones. */

import { randomFillSync } from "node:crypto";
import { TRACE_BYTES } from "@millrace/protocol";

/** Random bytes are drawn for so many ids at once: a draw costs more than an id. */
const IDS_PER_DRAW = 256;
const POOL = new Uint8Array(TRACE_BYTES * IDS_PER_DRAW);
let next = IDS_PER_DRAW;

/** Version, trace id, parent id, flags; a later version may have more behind them. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;

/** Writes a trace id to the front of `target`: that of a valid header, else a new one. */
export function writeTrace(target: Uint8Array, header: string | undefined): void {
  const id = header === undefined ? undefined : traceIdOf(header);
  if (id === undefined) writeNewTrace(target);
  else target.set(Buffer.from(id, "hex"));
}

function traceIdOf(header: string): string | undefined {
  const [, version, trace, parent, more] = TRACEPARENT.exec(header) ?? [];
  if (trace === undefined || version === "ff" || (version === "00" && more !== undefined)) {
    return undefined;
  }
  return /^0+$/.test(trace) || /^0+$/.test(parent ?? "") ? undefined : trace;
}

function writeNewTrace(target: Uint8Array): void {
  if (next === IDS_PER_DRAW) {
    randomFillSync(POOL);
    next = 0;
  }
  target.set(POOL.subarray(next * TRACE_BYTES, (next + 1) * TRACE_BYTES));
  next++;
}
