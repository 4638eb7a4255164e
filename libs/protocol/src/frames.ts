/**
 * The binary messages of the hot path. Each begins with a version and a kind; several requests
 * share one message on every hop, because at small sizes cost is per message and not per byte.
 *
 * ticket      ingress -> scheduler   one model, many requests
 * cancel      ingress -> scheduler   requests whose clients are gone
 * assignment  scheduler -> worker    one batch
 * done        worker -> scheduler    what the batch took
 * answer      worker or scheduler -> ingress   results and refusals
 * fetch       worker -> ingress      send the bodies that were too large to travel in the ticket
 * part        either way             a piece of a large body
 */

import type { ByteWriter } from "./bytes.ts";
import type { ErrorCode } from "./errors.ts";
import type { Tier } from "./priority.ts";

export const WIRE_VERSION = 1;
export const FRAME_KINDS = [
  "ticket",
  "cancel",
  "assignment",
  "done",
  "answer",
  "fetch",
  "part",
] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

/** A trace id, in front of every body. */
export const TRACE_BYTES = 16;

/** Bits of the flags of tickets, items and answers. */
export const FLAGS = { remote: 1, hedge: 2, parted: 4, alone: 8 } as const;

/** Bytes that are written where they are to be, in place of a copy of them. */
export interface Written {
  readonly length: number;
  /** Writes `length` bytes. */
  write(writer: ByteWriter): void;
}

export type Tail = Uint8Array | Written;

/** A request on its way to a scheduler; what was read has its tail as bytes. */
export interface Ticket<T extends Tail = Uint8Array> {
  /** Unique per ingress. Retries and hedges of a request keep it and raise `attempt`. */
  readonly seq: number;
  readonly attempt: number;
  readonly tier: Tier;
  /** A second try of a request that may still be answered: it must go to another device. */
  readonly hedge: boolean;
  /** A worker was lost with it: it runs by itself, on a device that holds nothing else. */
  readonly alone: boolean;
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
  readonly tail: T;
}

export interface TicketFrame<T extends Tail = Uint8Array> {
  readonly ingress: string;
  readonly model: string;
  readonly tickets: readonly Ticket<T>[];
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
  /**
   * Latest start of the most urgent item, counted from arrival; past it that item is refused as
   * stale. Its mates may begin later by as much as their deadlines are later.
   */
  readonly startWithinUs: number;
  /** What the run is expected to take. */
  readonly expectedUs: number;
  readonly items: readonly AssignmentItem[];
}

export type DoneOutcome = "ran" | "refused";

export interface DoneFrame {
  readonly worker: string;
  readonly incarnation: number;
  readonly id: number;
  /** The highest id from this scheduler that `backlogUs` includes. */
  readonly seen: number;
  readonly model: string;
  readonly outcome: DoneOutcome;
  readonly rows: number;
  /** Time on the device alone, 0 when refused. */
  readonly computeUs: number;
  /** Expected time until everything the worker still holds is done. */
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
  /**
   * `cpu`, `cuda`, `webgpu`, `emulated`. From a scheduler empty, or the one worker process with
   * which all of these were lost (see `workerProcess`).
   */
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

/** Names one life of a worker: what is lost with it twice, by two schedulers' word, is one loss. */
export const workerProcess = (id: string, incarnation: number): string => `${id}#${incarnation}`;
export const isWorkerProcess = (device: string): boolean => device.includes("#");
export const workerOf = (process: string): string => process.slice(0, process.lastIndexOf("#"));

/** The trace id of a tail, and the body behind it. */
export const traceOf = (tail: Uint8Array): Uint8Array => tail.subarray(0, TRACE_BYTES);
export const bodyOf = (tail: Uint8Array): Uint8Array => tail.subarray(TRACE_BYTES);
