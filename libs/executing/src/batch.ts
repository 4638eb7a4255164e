/** One assignment while the worker holds it: its items, and the parts that are still to run. */

import type { AssignmentFrame, AssignmentItem, Fault, ModelSpec } from "@millrace/protocol";
import { bodyOf } from "@millrace/protocol";
import { present } from "@millrace/std";
import type { RunItem } from "./events.ts";
import type { WorkerLimits } from "./options.ts";

/** A request that this worker owes an answer until `answered`. */
export interface HeldItem extends RunItem {
  body: Uint8Array;
  answered: boolean;
}

/** Items that run together. */
export type Part = readonly HeldItem[];

const NO_BODY = new Uint8Array(0);
const NO_ITEMS: Part = [];

export class Batch {
  readonly frame: AssignmentFrame;
  readonly spec: ModelSpec;
  readonly arrivedUs: number;
  /** Past this the most urgent of what is unanswered must not begin. */
  startByUs: number;
  /** Bodies that are not here by then are given up, so that the others can start in time. */
  readonly bodiesByUs: number;
  readonly items: HeldItem[] = [];
  /** Still to run, last first; undefined until the batch's first turn. */
  parts: Part[] | undefined;
  /** Bodies that are not here yet. */
  missing = 0;
  /** Bytes of the bodies, here or awaited. */
  bytes = 0;
  /** Items without an answer. */
  open = 0;
  runs = 0;
  /** Single items that failed: what is said of them depends on whether their mates ran. */
  readonly failures: { readonly held: HeldItem; readonly fault: Fault }[] = [];
  /** The run of an input that is known to run, asked for when all that ran here failed. */
  proof: Part | undefined;
  /** It ran: what failed here failed by itself. */
  proven = false;
  /** The largest part that ran: the time that can be learned from. */
  ranRows = 0;
  ranUs = 0;
  /** Of the most urgent item, on arrival. */
  #leastRemainingUs = Number.POSITIVE_INFINITY;

  constructor(frame: AssignmentFrame, spec: ModelSpec, nowUs: number, limits: WorkerLimits) {
    this.frame = frame;
    this.spec = spec;
    this.arrivedUs = nowUs;
    this.startByUs = nowUs + frame.startWithinUs;
    for (const { remainingUs } of frame.items) {
      this.#leastRemainingUs = Math.min(this.#leastRemainingUs, remainingUs);
    }
    const bodiesUs = Math.floor((frame.startWithinUs * 3) / 4);
    this.bodiesByUs = nowUs + Math.min(limits.fetchUsMax, bodiesUs);
  }

  /** Most rows in one run; a model without a batch dimension runs one at a time. */
  get rowsMax(): number {
    return Math.max(1, this.spec.maxBatch);
  }

  /** Inline bodies are views into the assignment's frame. */
  add(item: AssignmentItem): HeldItem {
    const body = item.remote ? NO_BODY : bodyOf(item.tail);
    const held = { item, body, answered: false };
    this.items.push(held);
    this.open++;
    this.bytes += item.bodyBytes;
    return held;
  }

  unanswered(): HeldItem[] {
    return this.items.filter((held) => !held.answered);
  }

  /**
   * Items that must not begin any more. The batch's latest start is that of its most urgent item;
   * its mates may begin later by as much as their deadlines are later.
   */
  pastStart(nowUs: number): HeldItem[] {
    const past: HeldItem[] = [];
    this.startByUs = Number.POSITIVE_INFINITY;
    for (const held of this.unanswered()) {
      const laterUs = held.item.remainingUs - this.#leastRemainingUs;
      const startByUs = this.arrivedUs + this.frame.startWithinUs + laterUs;
      if (startByUs < nowUs) past.push(held);
      else this.startByUs = Math.min(this.startByUs, startByUs);
    }
    return past;
  }

  /**
   * The next part to run, without the items whose deadlines have passed, and when it must not begin
   * any more. The batch is cut to the model's limit when it has its first turn.
   */
  takePart(nowUs: number): {
    readonly part: Part;
    readonly late: Part;
    readonly startByUs: number;
  } {
    let startByUs = this.parts === undefined ? this.startByUs : Number.POSITIVE_INFINITY;
    this.parts ??= partsWithin(this.unanswered(), this.rowsMax);
    const taken = present(this.parts.pop(), "a part of a batch that is held");
    const lastUs = ({ item }: HeldItem): number => this.arrivedUs + item.remainingUs - 1;
    const isLate = (held: HeldItem): boolean => lastUs(held) < nowUs;
    const late = taken.some(isLate) ? taken.filter(isLate) : NO_ITEMS;
    const part = late === NO_ITEMS ? taken : taken.filter((held) => !isLate(held));
    for (const held of part) startByUs = Math.min(startByUs, lastUs(held));
    return { part, late, startByUs };
  }

  /** It has begun, and parts of it are still to run. */
  get hasMore(): boolean {
    return this.parts !== undefined && this.parts.length > 0;
  }

  /** A part did not begin after all: what has no answer is cut anew, and tried from the start. */
  takeBack(): void {
    this.parts = undefined;
    this.failures.length = 0;
    this.proof = undefined;
    this.runs--;
  }

  /** Remembers how long a part took that ran. */
  ran(rows: number, computeUs: number): void {
    if (rows < this.ranRows) return;
    this.ranRows = rows;
    this.ranUs = computeUs;
  }
}

export function rowsOf(part: Part): number {
  let rows = 0;
  for (const held of part) rows += held.item.rows;
  return rows;
}

/** Cuts a batch into parts of at most `rowsMax` rows, last first; normally it is one part. */
function partsWithin(items: Part, rowsMax: number): Part[] {
  if (rowsOf(items) <= rowsMax) return items.length === 0 ? [] : [items];
  const parts: HeldItem[][] = [];
  let part: HeldItem[] = [];
  let rows = 0;
  for (const held of items) {
    if (part.length > 0 && rows + held.item.rows > rowsMax) {
      parts.push(part);
      part = [];
      rows = 0;
    }
    part.push(held);
    rows += held.item.rows;
  }
  parts.push(part);
  return parts.reverse(); // I3
}
