/**
 * Answers that are larger than a message and come in parts ahead of it. Only parts of open requests
 * are kept, in order, within the limit of a body each and of all together (I6).
 */

import { type Answer, BODY_BYTES_MAX, type PartFrame } from "@millrace/protocol";

interface Assembly {
  readonly from: string;
  readonly attempt: number;
  readonly body: Uint8Array;
  received: number;
}

export class AnswerParts {
  readonly #bytesMax: number;
  readonly #isOpen: (seq: number) => boolean;
  readonly #assemblies = new Map<number, Assembly[]>();
  #bytes = 0;

  constructor(options: { readonly bytesMax: number; readonly isOpen: (seq: number) => boolean }) {
    this.#bytesMax = options.bytesMax;
    this.#isOpen = options.isOpen;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A part that does not continue what came before ends its assembly: the answer is then lost. */
  take({ from, seq, attempt, offset, total, bytes }: PartFrame): void {
    if (!this.#isOpen(seq)) return;
    if (offset === 0) this.#begin(seq, from, attempt, total);
    const assembly = this.#find(seq, from, attempt);
    if (assembly === undefined) return;
    if (
      total !== assembly.body.length ||
      offset !== assembly.received ||
      offset + bytes.length > total
    ) {
      this.#remove(seq, assembly);
      return;
    }
    assembly.body.set(bytes, offset);
    assembly.received += bytes.length;
  }

  /** The whole body of a parted answer, or undefined where parts of it were lost. */
  claim(from: string, answer: Answer): Uint8Array | undefined {
    const assembly = this.#find(answer.seq, from, answer.attempt);
    if (assembly === undefined) return undefined;
    this.#remove(answer.seq, assembly);
    const { body, received } = assembly;
    return received === body.length && received === answer.bodyBytes ? body : undefined;
  }

  /** The request is no longer open. */
  drop(seq: number): void {
    for (const { body } of this.#assemblies.get(seq) ?? []) this.#bytes -= body.length;
    this.#assemblies.delete(seq);
  }

  #begin(seq: number, from: string, attempt: number, total: number): void {
    const before = this.#find(seq, from, attempt);
    if (before !== undefined) this.#remove(seq, before);
    if (total > BODY_BYTES_MAX || this.#bytes + total > this.#bytesMax) return;
    this.#bytes += total;
    const body = Buffer.allocUnsafeSlow(total);
    const assemblies = this.#assemblies.get(seq) ?? [];
    assemblies.push({ from, attempt, body, received: 0 });
    this.#assemblies.set(seq, assemblies);
  }

  #find(seq: number, from: string, attempt: number): Assembly | undefined {
    return this.#assemblies
      .get(seq)
      ?.find((assembly) => assembly.from === from && assembly.attempt === attempt);
  }

  #remove(seq: number, assembly: Assembly): void {
    this.#bytes -= assembly.body.length;
    const left = (this.#assemblies.get(seq) ?? []).filter((other) => other !== assembly);
    if (left.length === 0) this.#assemblies.delete(seq);
    else this.#assemblies.set(seq, left);
  }
}
