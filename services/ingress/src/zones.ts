/**
 * Where this ingress and the workers stand, what they are, and what it sends and takes from one
 * zone to another.
 */

import type { Bus } from "@millrace/bus";
import { encodeJson, subjects, type Tier, type WorkerHeartbeat } from "@millrace/protocol";
import type { LoadCounter } from "./load-recorder.ts";

const BEAT_MS = 1_000;
/** I6: far more workers than a cluster has. */
const WORKERS_MAX = 100_000;

/** What kind each worker is, and which stand in another zone than this process. */
export class Zones {
  readonly #here: string | undefined;
  readonly #elsewhere = new Set<string>();
  readonly #kinds = new Map<string, string>();

  constructor(here: string | undefined) {
    this.#here = here;
  }

  /** A worker's word; one that does not say where it stands is taken to stand here. */
  heard({ id, kind, role, zone }: Pick<WorkerHeartbeat, "id" | "kind" | "role" | "zone">): void {
    if (this.#kinds.size < WORKERS_MAX || this.#kinds.has(id)) this.#kinds.set(id, kind ?? role);
    if (this.#here === undefined) return;
    if (zone === undefined || zone === this.#here) this.#elsewhere.delete(id);
    else if (this.#elsewhere.size < WORKERS_MAX) this.#elsewhere.add(id);
  }

  /** Its connection ended. */
  lost(name: string): void {
    this.#elsewhere.delete(name);
    this.#kinds.delete(name);
  }

  /** What the price book calls the worker, else its role; undefined of one that was not heard. */
  kindOf(worker: string): string | undefined {
    return this.#kinds.get(worker);
  }

  crosses(worker: string): boolean {
    return this.#elsewhere.size > 0 && this.#elsewhere.has(worker);
  }
}

/** Told of the bytes of a job that go to the store or come from it. */
export type CountStored = (job: Owner, bytes: number) => void;

/** Whose job it is, and what runs it. */
export interface Owner {
  readonly tenant: string;
  readonly model: string;
}

const BATCH: Tier = 2;

/** Counts them where the store stands in another zone than this process. */
export function countStored(
  {
    storeZone,
    zone,
  }: { readonly storeZone?: string | undefined; readonly zone?: string | undefined },
  load: LoadCounter,
): CountStored {
  if (zone === undefined || storeZone === undefined || zone === storeZone) return () => undefined;
  return ({ model, tenant }, bytes) => {
    load.amounts(model, tenant, BATCH).crossingBytes += bytes;
  };
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
