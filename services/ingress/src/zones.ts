/**
 * Where this ingress and the workers stand, and what it sends and takes from one zone to another.
 */

import type { Bus } from "@millrace/bus";
import { encodeJson, subjects, type WorkerHeartbeat } from "@millrace/protocol";

const BEAT_MS = 1_000;
/** I6: far more workers than a cluster has. */
const WORKERS_MAX = 100_000;

/** Which workers stand in another zone than this process. */
export class Zones {
  readonly #here: string | undefined;
  readonly #elsewhere = new Set<string>();

  constructor(here: string | undefined) {
    this.#here = here;
  }

  /** A worker's word; one that does not say where it stands is taken to stand here. */
  heard({ id, zone }: Pick<WorkerHeartbeat, "id" | "zone">): void {
    if (this.#here === undefined) return;
    if (zone === undefined || zone === this.#here) this.#elsewhere.delete(id);
    else if (this.#elsewhere.size < WORKERS_MAX) this.#elsewhere.add(id);
  }

  /** Its connection ended. */
  lost(name: string): void {
    this.#elsewhere.delete(name);
  }

  crosses(worker: string): boolean {
    return this.#elsewhere.size > 0 && this.#elsewhere.has(worker);
  }
}

/** Says once a second where this ingress stands, if it was told; ends when it is disposed. */
export function announceZone(
  bus: Pick<Bus, "publish">,
  address: string,
  zone: string | undefined,
): Disposable {
  if (zone === undefined) return { [Symbol.dispose]: () => undefined };
  const bytes = encodeJson({ v: 1, id: address, zone });
  const say = (): void => void bus.publish(subjects.ingressHeartbeat(address), bytes);
  say();
  const timer = setInterval(say, BEAT_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
