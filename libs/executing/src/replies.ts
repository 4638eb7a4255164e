/** The answers of one batch in one step, grouped so that each ingress gets one frame. */

import type { Answer, AssignmentItem, Fault } from "@millrace/protocol";
import { BODY_BYTES_MAX, fault } from "@millrace/protocol";
import { assert } from "@millrace/std";
import type { Batch, HeldItem, Part } from "./batch.ts";
import type { ItemOutput, WorkerEffect } from "./events.ts";

const encoder = new TextEncoder();

interface Group {
  readonly items: AssignmentItem[];
  readonly answers: Answer[];
}

/** What a run took, for the answers of its items. */
export interface RunFacts {
  readonly startedUs: number;
  readonly computeUs: number;
  readonly rows: number;
}

export class Replies {
  readonly #groups = new Map<string, Group>();

  /** Answers the items of a part that ran; `outputs` stand in their order. */
  results(batch: Batch, part: Part, outputs: readonly ItemOutput[], facts: RunFacts): void {
    assert(outputs.length === part.length, "a run has one output per item"); // I2
    part.forEach((held, at) => {
      const { body } = outputs[at] as ItemOutput;
      if (body.length > BODY_BYTES_MAX) {
        this.refuse(batch, [held], outputTooLarge(body.length), facts.startedUs);
        return;
      }
      close(batch, held);
      this.#add(held.item, {
        seq: held.item.seq,
        attempt: held.item.attempt,
        error: undefined,
        queueUs: held.item.queuedUs + facts.startedUs - batch.arrivedUs,
        computeUs: facts.computeUs,
        batchRows: facts.rows,
        parted: false,
        bodyBytes: body.length,
        body,
      });
    });
  }

  /** Answers held items with a fault. */
  refuse(batch: Batch, part: Part, met: Fault, nowUs: number): void {
    const body = encoder.encode(met.message);
    for (const held of part) {
      close(batch, held);
      this.#refuse(held.item, met, body, nowUs - batch.arrivedUs);
    }
  }

  /** Answers items that were never held. */
  turnAway(items: readonly AssignmentItem[], met: Fault): void {
    const body = encoder.encode(met.message);
    for (const item of items) this.#refuse(item, met, body, 0);
  }

  /** One effect per ingress. */
  effects(model: string, from: string, device: string): WorkerEffect[] {
    const effects: WorkerEffect[] = [];
    for (const [ingress, { items, answers }] of this.#groups) {
      effects.push({ type: "answer", ingress, model, items, frame: { from, device, answers } });
    }
    return effects;
  }

  #refuse(item: AssignmentItem, met: Fault, body: Uint8Array, waitedUs: number): void {
    this.#add(item, {
      seq: item.seq,
      attempt: item.attempt,
      error: met.code,
      queueUs: item.queuedUs + waitedUs,
      computeUs: 0,
      batchRows: 0,
      parted: false,
      bodyBytes: body.length,
      body,
    });
  }

  #add(item: AssignmentItem, answer: Answer): void {
    let group = this.#groups.get(item.ingress);
    if (group === undefined) {
      group = { items: [], answers: [] };
      this.#groups.set(item.ingress, group);
    }
    group.items.push(item);
    group.answers.push(answer);
  }
}

function close(batch: Batch, held: HeldItem): void {
  assert(!held.answered, "an item is answered once"); // I1
  held.answered = true;
  batch.open--;
}

const outputTooLarge = (bytes: number): Fault =>
  fault("OUTPUT_TOO_LARGE", `the outputs take ${bytes} bytes, at most ${BODY_BYTES_MAX} may`);
