/** Reads what came over the network with the decoders of the wire; what does not read is a bug. */

import {
  decodeAnswers,
  decodeAssignment,
  decodeCancel,
  decodeDone,
  decodeFetch,
  decodeJson,
  decodePart,
  decodeTickets,
  disconnectSchema,
  commandSchema,
  encodeJson,
  type Fault,
  frameKind,
  ingressHeartbeatSchema,
  schedulerHeartbeatSchema,
  workerHeartbeatSchema,
} from "@millrace/protocol";
import { assert, type Result } from "@millrace/std";

function must<T>(result: Result<T, Fault>): T {
  if (!result.ok) assert(false, `a message does not read: ${result.error.message}`);
  return (result as { readonly value: T }).value;
}

/** A message to many is decoded once; its readers share the record, which none of them changes. */
function decodedOnce<T>(decode: (bytes: Uint8Array) => T): (bytes: Uint8Array) => T {
  const decoded = new WeakMap<Uint8Array, { readonly value: T }>();
  return (bytes) => {
    const known = decoded.get(bytes);
    if (known !== undefined) return known.value;
    const value = decode(bytes);
    decoded.set(bytes, { value });
    return value;
  };
}

export const readTickets = (bytes: Uint8Array) => must(decodeTickets(bytes));
export const readCancel = (bytes: Uint8Array) => must(decodeCancel(bytes));
export const readAssignment = (bytes: Uint8Array) => must(decodeAssignment(bytes));
export const readDone = (bytes: Uint8Array) => must(decodeDone(bytes));
export const readAnswers = (bytes: Uint8Array) => must(decodeAnswers(bytes));
export const readFetch = (bytes: Uint8Array) => must(decodeFetch(bytes));
export const readPart = (bytes: Uint8Array) => must(decodePart(bytes));
export const readCommand = (bytes: Uint8Array) => must(decodeJson(commandSchema, bytes));
export const readDisconnect = decodedOnce(
  (bytes) => must(decodeJson(disconnectSchema, bytes)).client.name,
);
export const readSchedulerBeat = decodedOnce((bytes) =>
  must(decodeJson(schedulerHeartbeatSchema, bytes)),
);
export const readWorkerBeat = decodedOnce((bytes) =>
  must(decodeJson(workerHeartbeatSchema, bytes)),
);
export const readIngressBeat = decodedOnce((bytes) =>
  must(decodeJson(ingressHeartbeatSchema, bytes)),
);
export { encodeJson, frameKind };
