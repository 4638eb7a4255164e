/** Trace ids: the client's from a W3C `traceparent`, or new ones. */

import { randomFillSync } from "node:crypto";
import { TRACE_BYTES } from "@millrace/protocol";

/** Random bytes are drawn for so many ids at once: a draw costs more than an id. */
const IDS_PER_DRAW = 256;
let drawn = new Uint8Array(0);
let next = 0;

/** Version, trace id, parent id, flags; a later version may have more behind them. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;

/** The trace id of a valid header, else a new one: {@link TRACE_BYTES} bytes. */
export function traceFor(header: string | undefined): Uint8Array {
  const id = header === undefined ? undefined : traceIdOf(header);
  return id === undefined ? newTrace() : Buffer.from(id, "hex");
}

function traceIdOf(header: string): string | undefined {
  const [, version, trace, parent, more] = TRACEPARENT.exec(header) ?? [];
  if (trace === undefined || version === "ff" || (version === "00" && more !== undefined)) {
    return undefined;
  }
  return /^0+$/.test(trace) || /^0+$/.test(parent ?? "") ? undefined : trace;
}

function newTrace(): Uint8Array {
  if (next === drawn.length) {
    // Another one each time: ids are views of it.
    drawn = randomFillSync(new Uint8Array(TRACE_BYTES * IDS_PER_DRAW));
    next = 0;
  }
  next += TRACE_BYTES;
  return drawn.subarray(next - TRACE_BYTES, next);
}
