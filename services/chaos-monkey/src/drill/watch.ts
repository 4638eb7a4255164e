/**
 * Sees the members as the cluster itself does: by their heartbeats, and by the broker's disconnect
 * events, with the same rules. From it come the samples of the plots, and when a fault was detected
 * and when its targets were back.
 */

import type { Bus } from "@millrace/bus";
import type { RestLevel, Sample } from "@millrace/drills";
import { Membership } from "@millrace/membership";
import {
  decodeJson,
  DISCONNECTS,
  FORGET_AFTER_US,
  SCHEDULER_HEARTBEATS,
  schedulerHeartbeatSchema,
  SUSPECT_AFTER_US,
  WORKER_HEARTBEATS,
  workerHeartbeatSchema,
} from "@millrace/protocol";
import * as v from "valibot";

const disconnectSchema = v.object({ client: v.object({ name: v.optional(v.string(), "") }) });

const TICK_MS = 20;
/** A tick so late was this process standing still: what was sent meanwhile is not read yet. */
const STALL_US = 150_000;
/** Who finished nothing, or was asked for nothing, for so long is idle. */
const IDLE_US = 1_000_000;
/** Between two looks at an ingress, which sends no heartbeats. */
const LOOK_MS = 100;
const LOOK_MS_MAX = 1_000;

/** A fault whose targets are looked at. Times are Unix microseconds. */
interface Looked {
  readonly targets: readonly string[];
  readonly injectedUs: number;
  endedUs: number | undefined;
  detectedUs: number | undefined;
  returnedUs: number | undefined;
}

export interface WatchOptions {
  readonly bus: Bus;
  readonly urls: readonly string[];
  readonly roleOf: ReadonlyMap<string, string>;
}

const unixUs = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);

export class Watch implements Disposable {
  readonly #options: WatchOptions;
  readonly #members = new Membership({
    suspectAfterUs: SUSPECT_AFTER_US,
    forgetAfterUs: FORGET_AFTER_US,
  });
  readonly #queuedRows = new Map<string, number>();
  readonly #inFlight = new Map<string, number>();
  /** Batches that each worker has finished. */
  readonly #progress = new Map<string, number>();
  /** When workers and schedulers were last seen to do something. */
  readonly #workedUs = new Map<string, number>();
  readonly #down = new Set<string>();
  readonly #looked = new Map<string, Looked>();
  readonly #timers: readonly NodeJS.Timeout[];
  #looking = false;
  #disconnectedUs = 0;
  #tickedUs = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
    const { bus, roleOf } = options;
    bus.subscribe(WORKER_HEARTBEATS, (bytes) => {
      const beat = decodeJson(workerHeartbeatSchema, bytes);
      if (!beat.ok) return;
      const { id, incarnation, state, inFlight, progress } = beat.value;
      this.#members.heard(id, incarnation, unixUs(), state === "draining");
      this.#inFlight.set(id, inFlight);
      if (progress > (this.#progress.get(id) ?? progress)) this.#workedUs.set(id, unixUs());
      this.#progress.set(id, progress);
    });
    bus.subscribe(SCHEDULER_HEARTBEATS, (bytes) => {
      const beat = decodeJson(schedulerHeartbeatSchema, bytes);
      if (!beat.ok) return;
      const { id, incarnation, state, loads } = beat.value;
      this.#members.heard(id, incarnation, unixUs(), state === "draining");
      if (loads.some(({ rowsPerSecond }) => rowsPerSecond >= 1)) this.#workedUs.set(id, unixUs());
      this.#queuedRows.set(
        id,
        loads.reduce((sum, { queuedRows }) => sum + queuedRows, 0),
      );
    });
    bus.subscribe(DISCONNECTS, (bytes) => {
      const event = decodeJson(disconnectSchema, bytes);
      if (!event.ok) return;
      const { name } = event.value.client;
      this.#members.lost(name);
      if (roleOf.get(name) === "ingress") this.#sawDown(name);
    });
    bus.onConnection((connected) => {
      if (!connected) this.#disconnectedUs = unixUs();
      for (const [id, role] of roleOf) {
        if (role !== "nats") continue;
        if (connected) this.#down.delete(id);
        else this.#down.add(id);
      }
    });
    this.#timers = [
      setInterval(() => this.#tick(), TICK_MS),
      setInterval(() => void this.#lookAtIngresses(), LOOK_MS),
    ];
  }

  /** @param id of the fault. */
  follow(id: string, targets: readonly string[], injectedUs: number): void {
    // What hits NATS is seen before the news of it comes.
    const hitsNats = targets.some((target) => this.#options.roleOf.get(target) === "nats");
    const seen = hitsNats && this.#disconnectedUs >= injectedUs;
    this.#looked.set(id, {
      targets,
      injectedUs,
      endedUs: undefined,
      detectedUs: seen ? this.#disconnectedUs : undefined,
      returnedUs: undefined,
    });
  }

  ended(id: string, atUs: number): void {
    const looked = this.#looked.get(id);
    if (looked !== undefined) looked.endedUs ??= atUs;
  }

  /** When a target was first seen to be gone, and when all of them were back. */
  seen(id: string): Pick<Looked, "detectedUs" | "returnedUs"> {
    const { detectedUs, returnedUs } = this.#looked.get(id) ?? {};
    return { detectedUs, returnedUs };
  }

  /** Those of them whom a fault at that time could not hurt, because they had nothing to do. */
  idle(ids: readonly string[], atUs: number): readonly string[] {
    const { roleOf } = this.#options;
    return ids.filter(
      (id) =>
        /(worker|scheduler)$/.test(roleOf.get(id) ?? "") &&
        (this.#workedUs.get(id) ?? 0) < atUs - IDLE_US,
    );
  }

  /** Another of its role that has something to do and is whole, and is none of the `taken`. */
  mateAtWork(id: string, taken: ReadonlySet<string>): string | undefined {
    const { roleOf } = this.#options;
    return [...roleOf.keys()].find(
      (mate) =>
        roleOf.get(mate) === roleOf.get(id) &&
        !taken.has(mate) &&
        this.#members.isAlive(mate) &&
        this.idle([mate], unixUs()).length === 0,
    );
  }

  /** When this process last lost its own connection, in Unix microseconds; 0 for never. */
  get disconnectedUs(): number {
    return this.#disconnectedUs;
  }

  /** Everybody that a fault has hit is back. */
  get allBack(): boolean {
    return [...this.#looked.values()].every(({ returnedUs }) => returnedUs !== undefined);
  }

  sample(atUs: number, openRequests: number): Sample {
    return {
      atUs,
      queuedRows: [...this.#queuedRows]
        .filter(([id]) => this.#members.isAlive(id))
        .reduce((sum, [, rows]) => sum + rows, 0),
      healthyWorkers: this.#healthy("worker"),
      healthySchedulers: this.#healthy("scheduler"),
      openRequests,
    };
  }

  /** What the members say that they still hold. */
  get rest(): readonly RestLevel[] {
    const levels = (what: string, held: ReadonlyMap<string, number>): readonly RestLevel[] =>
      [...held]
        .filter(([id]) => this.#members.isAlive(id))
        .map(([process, value]) => ({ process, what, value }));
    return [...levels("queued rows", this.#queuedRows), ...levels("batches", this.#inFlight)];
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #healthy(role: "worker" | "scheduler"): number {
    const { roleOf } = this.#options;
    return this.#members.alive.filter((id) => roleOf.get(id)?.endsWith(role)).length;
  }

  #isBack(id: string): boolean {
    const role = this.#options.roleOf.get(id);
    return role === "ingress" || role === "nats" ? !this.#down.has(id) : this.#members.isAlive(id);
  }

  #tick(): void {
    const nowUs = unixUs();
    if (nowUs - this.#tickedUs < STALL_US) this.#members.expire(nowUs);
    this.#tickedUs = nowUs;
    for (const looked of this.#looked.values()) {
      const back = looked.targets.every((id) => this.#isBack(id));
      if (looked.returnedUs !== undefined) continue;
      if (!back) looked.detectedUs ??= nowUs;
      if (back && looked.endedUs !== undefined) looked.returnedUs = nowUs;
    }
  }

  #sawDown(id: string): void {
    this.#down.add(id);
    this.#tick();
  }

  async #lookAtIngresses(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const { urls, roleOf } = this.#options;
    const ids = [...roleOf].filter(([, role]) => role === "ingress").map(([id]) => id);
    await Promise.all(
      ids.map(async (id, at) => {
        const url = `${urls[at] ?? urls[0] ?? ""}/v2/health/live`;
        const signal = AbortSignal.timeout(LOOK_MS_MAX);
        const alive = await fetch(url, { signal }).then(
          async (response) => {
            await response.body?.cancel();
            return response.ok;
          },
          () => false,
        );
        if (alive) this.#down.delete(id);
        else this.#down.add(id);
      }),
    );
    this.#looking = false;
  }
}
