/** Everything a worker hears, decoded once and turned into events for its core. */

import {
  commandSchema,
  decodeAssignment,
  decodeJson,
  decodePart,
  DISCONNECTS,
  disconnectSchema,
  type Fault,
  FORGET_AFTER_US,
  SCHEDULER_HEARTBEATS,
  schedulerHeartbeatSchema,
  subjects,
  SUSPECT_AFTER_US,
} from "@millrace/protocol";
import type { Log, Result } from "@millrace/std";
import { type Bus, Connections, type Subscribed } from "@millrace/bus";
import type { WorkerEvent } from "@millrace/executing";
import { Membership } from "@millrace/membership";
import { nowUs } from "@millrace/runtime";
import type { RemoteBodies } from "./remote-bodies.ts";
import type { WorkerMetrics } from "./worker-metrics.ts";

export interface MailboxParts {
  readonly id: string;
  readonly bus: Pick<Bus, "subscribe">;
  readonly bodies: RemoteBodies;
  readonly metrics: WorkerMetrics;
  readonly log: Log;
  readonly post: (event: WorkerEvent) => void;
}

export class Mailbox {
  readonly #parts: MailboxParts;
  readonly #schedulers = new Membership({
    suspectAfterUs: SUSPECT_AFTER_US,
    forgetAfterUs: FORGET_AFTER_US,
  });
  readonly #connections = new Connections();
  readonly #subscribed: readonly Subscribed[];

  constructor(parts: MailboxParts) {
    this.#parts = parts;
    const { id, bus } = parts;
    this.#subscribed = [
      bus.subscribe(subjects.assign(id), (bytes) => this.#assignment(bytes)),
      bus.subscribe(subjects.tensor(id), (bytes) => this.#part(bytes)),
      bus.subscribe(subjects.command(id), (bytes) => this.#command(bytes)),
      bus.subscribe(SCHEDULER_HEARTBEATS, (bytes) => this.#schedulerBeat(bytes)),
      bus.subscribe(DISCONNECTS, (bytes) => this.#disconnect(bytes)),
    ];
  }

  /** Stops the flow; resolves when what was on its way has been handled. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#subscribed.map((subscribed) => subscribed.drain()));
  }

  /** Forgets the schedulers that were silent for long. */
  sweep(): void {
    this.#schedulers.expire(nowUs());
  }

  #assignment(bytes: Uint8Array): void {
    const frame = this.#read("assignment", decodeAssignment(bytes));
    if (frame !== undefined) this.#parts.post({ type: "assigned", frame });
  }

  #part(bytes: Uint8Array): void {
    const part = this.#read("part", decodePart(bytes));
    if (part !== undefined) this.#parts.bodies.take(part);
  }

  #command(bytes: Uint8Array): void {
    const command = this.#read("command", decodeJson(commandSchema, bytes));
    if (command !== undefined) this.#parts.post({ type: "commanded", command });
  }

  #schedulerBeat(bytes: Uint8Array): void {
    const beat = this.#read("heartbeat", decodeJson(schedulerHeartbeatSchema, bytes));
    if (beat === undefined) return;
    this.#connections.heard(beat);
    const heard = this.#schedulers.heard(beat.id, beat.incarnation, nowUs());
    // Assignments of a process before it may have come while it was not a member yet.
    if (heard === "restarted" || heard === "joined") {
      this.#parts.post({ type: "schedulerGone", scheduler: beat.id });
    }
    if (heard !== "known") this.#parts.post({ type: "audienceChanged" });
  }

  #disconnect(bytes: Uint8Array): void {
    const disconnect = this.#read("disconnect", decodeJson(disconnectSchema, bytes));
    const scheduler = disconnect && this.#connections.ended(disconnect);
    if (scheduler !== undefined && this.#schedulers.lost(scheduler)) {
      this.#parts.post({ type: "schedulerGone", scheduler });
    }
  }

  /** What does not read as it should is dropped, counted and logged; whoever sent it has a bug. */
  #read<T>(kind: string, result: Result<T, Fault>): T | undefined {
    if (result.ok) return result.value;
    this.#parts.metrics.dropped(kind);
    this.#parts.log.warn({ kind, ...result.error }, "a message could not be read");
    return undefined;
  }
}
