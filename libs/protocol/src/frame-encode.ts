/** Writes the binary messages of the hot path; each frame is one allocation. */

import { ByteWriter } from "./bytes.ts";
import { ERRORS } from "./errors.ts";
import {
  type Answer,
  type AnswerFrame,
  type AssignmentFrame,
  type CancelFrame,
  type DoneFrame,
  type FetchFrame,
  type FrameKind,
  type PartFrame,
  type Tail,
  type Ticket,
  type TicketFrame,
  FLAGS,
  FRAME_KINDS,
  WIRE_VERSION,
} from "./frames.ts";

const head = (writer: ByteWriter, kind: FrameKind): void => {
  writer.u8(WIRE_VERSION);
  writer.u8(FRAME_KINDS.indexOf(kind));
};

const TICKET_FIXED = 32;

export const ticketBytes = ({ tail }: Ticket<Tail>): number => TICKET_FIXED + tail.length;

export function encodeTickets(frame: TicketFrame<Tail>): Uint8Array {
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
    writer.u8(
      (ticket.remote ? FLAGS.remote : 0) |
        (ticket.hedge ? FLAGS.hedge : 0) |
        (ticket.alone ? FLAGS.alone : 0),
    );
    writer.u8(0);
    writer.u32(ticket.rows);
    writer.u32(ticket.length);
    writer.u32(ticket.shapeKey);
    writer.u32(ticket.remainingUs);
    writer.u32(ticket.bodyBytes);
    writer.u32(ticket.tail.length);
    if (ticket.tail instanceof Uint8Array) writer.raw(ticket.tail);
    else ticket.tail.write(writer);
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
  writer.u32(frame.expectedUs);
  writer.u8(frame.tier);
  writer.u16(ingresses.length);
  for (const ingress of ingresses) writer.ascii(ingress);
  writer.u16(frame.items.length);
  for (const item of frame.items) {
    writer.u16(ingresses.length === 1 ? 0 : ingresses.indexOf(item.ingress));
    writer.u8(item.attempt);
    writer.u8((item.remote ? FLAGS.remote : 0) | (item.tier << 4));
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
  const writer = new ByteWriter(29 + frame.worker.length + frame.model.length);
  head(writer, "done");
  writer.ascii(frame.worker);
  writer.ascii(frame.model);
  writer.u32(frame.incarnation);
  writer.u32(frame.id);
  writer.u32(frame.seen);
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
    writer.u8(answer.parted ? FLAGS.parted : 0);
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
