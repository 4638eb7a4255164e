/**
 * The binary messages of the hot path. Each begins with a version and a kind; several requests share
 * one message on every hop, because at small sizes cost is per message and not per byte.
 *
 * ticket      ingress -> scheduler   one model, many requests
 * cancel      ingress -> scheduler   requests whose clients are gone
 * assignment  scheduler -> worker    one batch
 * done        worker -> scheduler    what the batch took
 * answer      worker or scheduler -> ingress   results and refusals
 * fetch       worker -> ingress      send the bodies that were too large to travel in the ticket
 * part        either way             a piece of a large body
 */

import { fail, ok, type Result } from "@millrace/std";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { codeOfNumber, type ErrorCode, ERRORS, type Fault, fault } from "./errors.ts";
import type { Tier } from "./priority.ts";

export const WIRE_VERSION = 1;
const KINDS = ["ticket", "cancel", "assignment", "done", "answer", "fetch", "part"] as const;
export type FrameKind = (typeof KINDS)[number];

const TRACE_BYTES = 16;
const FLAG_REMOTE = 1;
const FLAG_HEDGE = 2;
const FLAG_PARTED = 4;

/** A request on its way to a scheduler. */
export interface Ticket {
  /** Unique per ingress. Retries and hedges of a request keep it and raise `attempt`. */
  readonly seq: number;
  readonly attempt: number;
  readonly tier: Tier;
  /** A second try of a request that may still be answered: it must go to another device. */
  readonly hedge: boolean;
  /** The body stayed at the ingress; the worker fetches it. */
  readonly remote: boolean;
  readonly rows: number;
  /** Length along the model's padded axis, 0 where the model declares none. */
  readonly length: number;
  /** Equal for requests that may share a batch as they are; padded axes do not count. */
  readonly shapeKey: number;
  readonly remainingUs: number;
  /** Size of the body, wherever it is. */
  readonly bodyBytes: number;
  /** 16 bytes of trace id, then the body unless `remote`. */
  readonly tail: Uint8Array;
}

export interface TicketFrame {
  readonly ingress: string;
  readonly model: string;
  readonly tickets: readonly Ticket[];
}

export interface CancelFrame {
  readonly ingress: string;
  readonly model: string;
  readonly seqs: readonly number[];
}

/** One request of a batch. `tail` as in {@link Ticket}. */
export interface AssignmentItem {
  readonly ingress: string;
  readonly seq: number;
  readonly attempt: number;
  readonly tier: Tier;
  readonly remote: boolean;
  readonly rows: number;
  readonly length: number;
  readonly remainingUs: number;
  /** Time spent in the scheduler's queue. */
  readonly queuedUs: number;
  readonly bodyBytes: number;
  readonly tail: Uint8Array;
}

export interface AssignmentFrame {
  readonly scheduler: string;
  /** Rises by one per assignment from this scheduler to this worker. */
  readonly id: number;
  /** The worker process this was meant for; another incarnation refuses it. */
  readonly incarnation: number;
  readonly model: string;
  readonly tier: Tier;
  /** Latest start, counted from arrival; a batch past it is refused as stale. */
  readonly startWithinUs: number;
  readonly estimateUs: number;
  readonly items: readonly AssignmentItem[];
}

export type DoneOutcome = "ran" | "refused";

export interface DoneFrame {
  readonly worker: string;
  readonly incarnation: number;
  readonly id: number;
  readonly model: string;
  readonly outcome: DoneOutcome;
  readonly rows: number;
  /** Time on the device alone, 0 when refused. */
  readonly computeUs: number;
  /** Estimated time until everything the worker still holds is done. */
  readonly backlogUs: number;
}

export interface Answer {
  readonly seq: number;
  readonly attempt: number;
  /** Undefined for a result. */
  readonly error: ErrorCode | undefined;
  readonly queueUs: number;
  readonly computeUs: number;
  readonly batchRows: number;
  /** The body was sent before this frame as parts; `body` is empty. */
  readonly parted: boolean;
  readonly bodyBytes: number;
  /** Output tensors (see `tensors.ts`), or the error's message in UTF-8. */
  readonly body: Uint8Array;
}

export interface AnswerFrame {
  /** The worker or scheduler that answers. */
  readonly from: string;
  /** `cpu`, `cuda`, `webgpu`, `emulated`; empty from a scheduler. */
  readonly device: string;
  readonly answers: readonly Answer[];
}

export interface FetchFrame {
  readonly worker: string;
  readonly wants: readonly { readonly seq: number; readonly attempt: number }[];
}

export interface PartFrame {
  readonly from: string;
  readonly seq: number;
  readonly attempt: number;
  readonly offset: number;
  /** Size of the whole body; 0 with no bytes says that the body is gone. */
  readonly total: number;
  readonly bytes: Uint8Array;
}

const head = (writer: ByteWriter, kind: FrameKind): void => {
  writer.u8(WIRE_VERSION);
  writer.u8(KINDS.indexOf(kind));
};

const TICKET_FIXED = 32;

export const ticketBytes = (ticket: Ticket): number => TICKET_FIXED + ticket.tail.length;

export function encodeTickets(frame: TicketFrame): Uint8Array {
  let size = 6 + frame.ingress.length + frame.model.length;
  for (const ticket of frame.tickets) size += ticketBytes(ticket);
  const writer = new ByteWriter(size);
  head(writer, "ticket");
  writer.ascii(frame.ingress);
  writer.ascii(frame.model);
  writer.u16(frame.tickets.length);
  for (const ticket of frame.tickets) {
    writer.u32(ticket.seq);
    writer.u8(ticket.attempt);
    writer.u8(ticket.tier);
    writer.u8((ticket.remote ? FLAG_REMOTE : 0) | (ticket.hedge ? FLAG_HEDGE : 0));
    writer.u8(0);
    writer.u32(ticket.rows);
    writer.u32(ticket.length);
    writer.u32(ticket.shapeKey);
    writer.u32(ticket.remainingUs);
    writer.u32(ticket.bodyBytes);
    writer.u32(ticket.tail.length);
    writer.raw(ticket.tail);
  }
  return writer.bytes;
}

export function encodeCancel(frame: CancelFrame): Uint8Array {
  const size = 6 + frame.ingress.length + frame.model.length + 4 * frame.seqs.length;
  const writer = new ByteWriter(size);
  head(writer, "cancel");
  writer.ascii(frame.ingress);
  writer.ascii(frame.model);
  writer.u16(frame.seqs.length);
  for (const seq of frame.seqs) writer.u32(seq);
  return writer.bytes;
}

const ITEM_FIXED = 36;

export function encodeAssignment(frame: AssignmentFrame): Uint8Array {
  const ingresses = [...new Set(frame.items.map((item) => item.ingress))];
  let size = 25 + frame.scheduler.length + frame.model.length;
  for (const ingress of ingresses) size += 1 + ingress.length;
  for (const item of frame.items) size += ITEM_FIXED + item.tail.length;
  const writer = new ByteWriter(size);
  head(writer, "assignment");
  writer.ascii(frame.scheduler);
  writer.ascii(frame.model);
  writer.u32(frame.id);
  writer.u32(frame.incarnation);
  writer.u32(frame.startWithinUs);
  writer.u32(frame.estimateUs);
  writer.u8(frame.tier);
  writer.u16(ingresses.length);
  for (const ingress of ingresses) writer.ascii(ingress);
  writer.u16(frame.items.length);
  for (const item of frame.items) {
    writer.u16(ingresses.length === 1 ? 0 : ingresses.indexOf(item.ingress));
    writer.u8(item.attempt);
    writer.u8((item.remote ? FLAG_REMOTE : 0) | (item.tier << 4));
    writer.u32(item.seq);
    writer.u32(item.rows);
    writer.u32(item.length);
    writer.u32(item.remainingUs);
    writer.u32(item.queuedUs);
    writer.u32(item.bodyBytes);
    writer.u32(item.tail.length);
    writer.raw(item.tail);
  }
  return writer.bytes;
}

export function encodeDone(frame: DoneFrame): Uint8Array {
  const writer = new ByteWriter(25 + frame.worker.length + frame.model.length);
  head(writer, "done");
  writer.ascii(frame.worker);
  writer.ascii(frame.model);
  writer.u32(frame.incarnation);
  writer.u32(frame.id);
  writer.u8(frame.outcome === "ran" ? 0 : 1);
  writer.u32(frame.rows);
  writer.u32(frame.computeUs);
  writer.u32(frame.backlogUs);
  return writer.bytes;
}

const ANSWER_FIXED = 28;

export const answerBytes = (answer: Answer): number => ANSWER_FIXED + answer.body.length;

export function encodeAnswers(frame: AnswerFrame): Uint8Array {
  let size = 6 + frame.from.length + frame.device.length;
  for (const answer of frame.answers) size += answerBytes(answer);
  const writer = new ByteWriter(size);
  head(writer, "answer");
  writer.ascii(frame.from);
  writer.ascii(frame.device);
  writer.u16(frame.answers.length);
  for (const answer of frame.answers) {
    writer.u32(answer.seq);
    writer.u8(answer.attempt);
    writer.u8(answer.parted ? FLAG_PARTED : 0);
    writer.u16(answer.error === undefined ? 0 : ERRORS[answer.error].number);
    writer.u32(answer.queueUs);
    writer.u32(answer.computeUs);
    writer.u32(answer.batchRows);
    writer.u32(answer.bodyBytes);
    writer.u32(answer.body.length);
    writer.raw(answer.body);
  }
  return writer.bytes;
}

export function encodeFetch(frame: FetchFrame): Uint8Array {
  const writer = new ByteWriter(5 + frame.worker.length + 5 * frame.wants.length);
  head(writer, "fetch");
  writer.ascii(frame.worker);
  writer.u16(frame.wants.length);
  for (const want of frame.wants) {
    writer.u32(want.seq);
    writer.u8(want.attempt);
  }
  return writer.bytes;
}

export const encodePart = (frame: PartFrame): Uint8Array =>
  encodePartOf(frame, frame.bytes.length, (writer) => writer.raw(frame.bytes));

/** As {@link encodePart}, with `length` bytes that the caller writes: no copy of them is needed. */
export function encodePartOf(
  frame: Omit<PartFrame, "bytes">,
  length: number,
  write: (writer: ByteWriter) => void,
): Uint8Array {
  const writer = new ByteWriter(16 + frame.from.length + length);
  head(writer, "part");
  writer.ascii(frame.from);
  writer.u32(frame.seq);
  writer.u8(frame.attempt);
  writer.u32(frame.offset);
  writer.u32(frame.total);
  write(writer);
  return writer.bytes;
}

/** The kind of a frame, or undefined for another version or an unknown kind. */
export function frameKind(bytes: Uint8Array): FrameKind | undefined {
  return bytes[0] === WIRE_VERSION ? KINDS[bytes[1] ?? -1] : undefined;
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
        hedge: (flags & FLAG_HEDGE) !== 0,
        remote: (flags & FLAG_REMOTE) !== 0,
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
    const estimateUs = reader.u32();
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
        remote: (flags & FLAG_REMOTE) !== 0,
        seq: reader.u32(),
        rows: reader.u32(),
        length: reader.u32(),
        remainingUs: reader.u32(),
        queuedUs: reader.u32(),
        bodyBytes: reader.u32(),
        tail: reader.raw(reader.u32()),
      });
    }
    return { scheduler, model, id, incarnation, startWithinUs, estimateUs, tier, items };
  });

export const decodeDone = (bytes: Uint8Array): Result<DoneFrame, Fault> =>
  decode("done", bytes, (reader) => ({
    worker: reader.ascii(),
    model: reader.ascii(),
    incarnation: reader.u32(),
    id: reader.u32(),
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
        parted: (flags & FLAG_PARTED) !== 0,
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

/** The trace id of a tail, and the body behind it. */
export const traceOf = (tail: Uint8Array): Uint8Array => tail.subarray(0, TRACE_BYTES);
export const bodyOf = (tail: Uint8Array): Uint8Array => tail.subarray(TRACE_BYTES);
export { TRACE_BYTES };
