/** Reads the binary messages of the hot path; bodies are views of the frame. */

import { fail, ok, type Result } from "@millrace/std";
import { ByteReader } from "./bytes.ts";
import { codeOfNumber, type Fault, fault } from "./errors.ts";
import {
  type Answer,
  type AnswerFrame,
  type AssignmentFrame,
  type AssignmentItem,
  type CancelFrame,
  type DoneFrame,
  type FetchFrame,
  type FrameKind,
  type PartFrame,
  type Ticket,
  type TicketFrame,
  FLAGS,
  FRAME_KINDS,
  WIRE_VERSION,
} from "./frames.ts";
import type { Tier } from "./priority.ts";

/** The kind of a frame, or undefined for another version or an unknown kind. */
export function frameKind(bytes: Uint8Array): FrameKind | undefined {
  return bytes[0] === WIRE_VERSION ? FRAME_KINDS[bytes[1] ?? -1] : undefined;
}

/**
 * Runs a decoder over a frame of the expected kind. A frame that is short, of another version or of
 * another kind is one fault: nothing of it is used.
 */
function decode<T>(
  kind: FrameKind,
  bytes: Uint8Array,
  read: (reader: ByteReader) => T,
): Result<T, Fault> {
  if (frameKind(bytes) !== kind) {
    return fail(fault("INVALID_REQUEST", `not a ${kind} frame of version ${WIRE_VERSION}`));
  }
  const reader = new ByteReader(bytes);
  reader.u16();
  try {
    return ok(read(reader));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return fail(fault("TRUNCATED_BODY", `${kind} frame: ${error.message}`));
  }
}

export const decodeTickets = (bytes: Uint8Array): Result<TicketFrame, Fault> =>
  decode("ticket", bytes, (reader) => {
    const ingress = reader.ascii();
    const model = reader.ascii();
    const count = reader.u16();
    const tickets: Ticket[] = [];
    for (let at = 0; at < count; at++) {
      const seq = reader.u32();
      const attempt = reader.u8();
      const tier = readTier(reader.u8());
      const flags = reader.u8();
      reader.u8();
      tickets.push({
        seq,
        attempt,
        tier,
        hedge: (flags & FLAGS.hedge) !== 0,
        alone: (flags & FLAGS.alone) !== 0,
        remote: (flags & FLAGS.remote) !== 0,
        rows: reader.u32(),
        length: reader.u32(),
        shapeKey: reader.u32(),
        remainingUs: reader.u32(),
        bodyBytes: reader.u32(),
        tail: reader.raw(reader.u32()),
      });
    }
    return { ingress, model, tickets };
  });

export const decodeCancel = (bytes: Uint8Array): Result<CancelFrame, Fault> =>
  decode("cancel", bytes, (reader) => {
    const ingress = reader.ascii();
    const model = reader.ascii();
    const count = reader.u16();
    const seqs: number[] = [];
    for (let at = 0; at < count; at++) seqs.push(reader.u32());
    return { ingress, model, seqs };
  });

export const decodeAssignment = (bytes: Uint8Array): Result<AssignmentFrame, Fault> =>
  decode("assignment", bytes, (reader) => {
    const scheduler = reader.ascii();
    const model = reader.ascii();
    const id = reader.u32();
    const incarnation = reader.u32();
    const startWithinUs = reader.u32();
    const expectedUs = reader.u32();
    const tier = readTier(reader.u8());
    const ingresses: string[] = [];
    for (let left = reader.u16(); left > 0; left--) ingresses.push(reader.ascii());
    const items: AssignmentItem[] = [];
    for (let left = reader.u16(); left > 0; left--) {
      const ingress = ingresses[reader.u16()];
      if (ingress === undefined)
        throw new RangeError("an item names an ingress that is not listed");
      const attempt = reader.u8();
      const flags = reader.u8();
      items.push({
        ingress,
        attempt,
        tier: readTier(flags >> 4),
        remote: (flags & FLAGS.remote) !== 0,
        seq: reader.u32(),
        rows: reader.u32(),
        length: reader.u32(),
        remainingUs: reader.u32(),
        queuedUs: reader.u32(),
        bodyBytes: reader.u32(),
        tail: reader.raw(reader.u32()),
      });
    }
    return { scheduler, model, id, incarnation, startWithinUs, expectedUs, tier, items };
  });

export const decodeDone = (bytes: Uint8Array): Result<DoneFrame, Fault> =>
  decode("done", bytes, (reader) => ({
    worker: reader.ascii(),
    model: reader.ascii(),
    incarnation: reader.u32(),
    id: reader.u32(),
    seen: reader.u32(),
    outcome: reader.u8() === 0 ? "ran" : "refused",
    rows: reader.u32(),
    computeUs: reader.u32(),
    backlogUs: reader.u32(),
  }));

export const decodeAnswers = (bytes: Uint8Array): Result<AnswerFrame, Fault> =>
  decode("answer", bytes, (reader) => {
    const from = reader.ascii();
    const device = reader.ascii();
    const answers: Answer[] = [];
    for (let left = reader.u16(); left > 0; left--) {
      const seq = reader.u32();
      const attempt = reader.u8();
      const flags = reader.u8();
      const number = reader.u16();
      answers.push({
        seq,
        attempt,
        error: number === 0 ? undefined : codeOfNumber(number),
        parted: (flags & FLAGS.parted) !== 0,
        queueUs: reader.u32(),
        computeUs: reader.u32(),
        batchRows: reader.u32(),
        bodyBytes: reader.u32(),
        body: reader.raw(reader.u32()),
      });
    }
    return { from, device, answers };
  });

export const decodeFetch = (bytes: Uint8Array): Result<FetchFrame, Fault> =>
  decode("fetch", bytes, (reader) => {
    const worker = reader.ascii();
    const wants: { seq: number; attempt: number }[] = [];
    for (let left = reader.u16(); left > 0; left--) {
      wants.push({ seq: reader.u32(), attempt: reader.u8() });
    }
    return { worker, wants };
  });

export const decodePart = (bytes: Uint8Array): Result<PartFrame, Fault> =>
  decode("part", bytes, (reader) => ({
    from: reader.ascii(),
    seq: reader.u32(),
    attempt: reader.u8(),
    offset: reader.u32(),
    total: reader.u32(),
    bytes: reader.raw(reader.left),
  }));

function readTier(value: number): Tier {
  if (value > 2) throw new RangeError(`tier ${value}`);
  return value as Tier;
}
