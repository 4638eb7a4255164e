/**
 * Bodies that stayed at their ingress and come in parts. Only what was asked for is taken, in the
 * size that was announced, and all of it is bounded (I6): what does not fit, come or match is gone.
 */

import { BODY_BYTES_MAX, type PartFrame } from "@millrace/protocol";
import type { Want } from "@millrace/executing";

export interface RemoteBodiesOptions {
  readonly nowUs: () => number;
  readonly arrived: (ingress: string, want: Want, body: Uint8Array) => void;
  readonly gone: (ingress: string, want: Want) => void;
  /** Default: {@link ASSEMBLY_LIMITS}. */
  readonly limits?: Partial<AssemblyLimits>;
}

export interface AssemblyLimits {
  /** Bodies on their way, and their bytes. */
  readonly countMax: number;
  readonly bytesMax: number;
  /** Longer than the core waits, which gives up by itself. */
  readonly ageUsMax: number;
}

export const ASSEMBLY_LIMITS: AssemblyLimits = {
  countMax: 8_192,
  bytesMax: 1024 * 1024 * 1024,
  ageUsMax: 4_000_000,
};

interface Assembly {
  readonly ingress: string;
  readonly want: Want;
  readonly askedUs: number;
  /** Empty until the first of several parts. */
  body: Uint8Array;
  received: number;
}

const NO_BYTES = new Uint8Array(0);

export class RemoteBodies {
  readonly #options: RemoteBodiesOptions;
  readonly #limits: AssemblyLimits;
  readonly #assemblies = new Map<string, Assembly>();
  #bytes = 0;

  constructor(options: RemoteBodiesOptions) {
    this.#options = options;
    this.#limits = { ...ASSEMBLY_LIMITS, ...options.limits };
  }

  get size(): number {
    return this.#assemblies.size;
  }

  /** Expects bodies; returns those that there is room for. The others are gone. */
  expect(ingress: string, wants: readonly Want[]): readonly Want[] {
    return wants.filter((want) => {
      const key = keyOf(ingress, want.seq, want.attempt);
      const fits =
        want.bytes <= BODY_BYTES_MAX &&
        this.#assemblies.size < this.#limits.countMax &&
        this.#bytes + want.bytes <= this.#limits.bytesMax;
      if (!fits || this.#assemblies.has(key)) {
        this.#options.gone(ingress, want);
        return false;
      }
      const askedUs = this.#options.nowUs();
      this.#assemblies.set(key, { ingress, want, askedUs, body: NO_BYTES, received: 0 });
      this.#bytes += want.bytes;
      return true;
    });
  }

  /** Nobody is there to ask. */
  cancel(ingress: string, wants: readonly Want[]): void {
    for (const { seq, attempt } of wants) {
      const assembly = this.#assemblies.get(keyOf(ingress, seq, attempt));
      if (assembly !== undefined) this.#drop(assembly);
    }
  }

  /** A part came. A body of one part is a view of it; others are copied together once. */
  take(part: PartFrame): void {
    const assembly = this.#assemblies.get(keyOf(part.from, part.seq, part.attempt));
    if (assembly === undefined) return;
    const { ingress, want } = assembly;
    const { offset, total, bytes } = part;
    // Parts of a body come in order over one connection: a gap is a loss.
    if (total !== want.bytes || offset !== assembly.received || offset + bytes.length > total) {
      this.#drop(assembly);
      return;
    }
    if (bytes.length < total) {
      if (assembly.body === NO_BYTES) assembly.body = Buffer.allocUnsafeSlow(total);
      assembly.body.set(bytes, offset);
    } else {
      assembly.body = bytes;
    }
    assembly.received += bytes.length;
    if (assembly.received < total) return;
    this.#forget(assembly);
    this.#options.arrived(ingress, want, assembly.body);
  }

  /** Drops what has been on its way for too long. */
  sweep(): void {
    const oldestUs = this.#options.nowUs() - this.#limits.ageUsMax;
    for (const assembly of this.#assemblies.values()) {
      if (assembly.askedUs <= oldestUs) this.#drop(assembly);
    }
  }

  #drop(assembly: Assembly): void {
    this.#forget(assembly);
    this.#options.gone(assembly.ingress, assembly.want);
  }

  #forget({ ingress, want }: Assembly): void {
    this.#assemblies.delete(keyOf(ingress, want.seq, want.attempt));
    this.#bytes -= want.bytes;
  }
}

const keyOf = (ingress: string, seq: number, attempt: number): string =>
  `${ingress} ${seq} ${attempt}`;
