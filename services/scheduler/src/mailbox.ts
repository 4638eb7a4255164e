/**
 * Turns what arrives on the bus into events of the scheduler core; what does not decode is counted.
 */

import { type Bus, Connections } from "@millrace/bus";
import {
  decodeCancel,
  decodeDone,
  decodeJson,
  decodeTickets,
  disconnectSchema,
  DISCONNECTS,
  type Fault,
  frameKind,
  INGRESS_HEARTBEATS,
  ingressHeartbeatSchema,
  SCHEDULER_HEARTBEATS,
  schedulerHeartbeatSchema,
  subjects,
  WORKER_HEARTBEATS,
  workerHeartbeatSchema,
} from "@millrace/protocol";
import type { SchedulerEvent } from "@millrace/scheduling";
import type { Log, Result } from "@millrace/std";

export interface Mailbox {
  /** Stops hearing of new work; beats and reports still come. */
  readonly closed: () => Promise<void>;
}

export function openMailbox(options: {
  readonly id: string;
  readonly bus: Pick<Bus, "subscribe">;
  readonly log: Log;
  readonly post: (event: SchedulerEvent) => void;
}): Mailbox {
  const { id, bus, log, post } = options;
  const take = <T>(
    from: string,
    decoded: Result<T, Fault>,
    toEvent: (value: T) => SchedulerEvent | undefined,
  ): void => {
    if (!decoded.ok) return log.warn({ from, ...decoded.error }, "a message was not understood");
    const event = toEvent(decoded.value);
    if (event !== undefined) post(event);
  };
  const connections = new Connections();
  const tickets = bus.subscribe(subjects.ticket(id), (bytes, subject) => {
    if (frameKind(bytes) === "cancel") {
      take(subject, decodeCancel(bytes), (frame) => ({ type: "cancelled", frame }));
    } else take(subject, decodeTickets(bytes), (frame) => ({ type: "ticketsArrived", frame }));
  });
  bus.subscribe(subjects.done(id), (bytes, subject) => {
    take(subject, decodeDone(bytes), (frame) => ({ type: "batchDone", frame }));
  });
  bus.subscribe(WORKER_HEARTBEATS, (bytes, subject) => {
    const heartbeat = decodeJson(workerHeartbeatSchema, bytes);
    take(subject, heartbeat, (beat) => {
      connections.heard(beat);
      return { type: "workerBeat", heartbeat: beat };
    });
  });
  bus.subscribe(SCHEDULER_HEARTBEATS, (bytes, subject) => {
    const heartbeat = decodeJson(schedulerHeartbeatSchema, bytes);
    take(subject, heartbeat, (beat) => {
      connections.heard(beat);
      return { type: "schedulerBeat", heartbeat: beat };
    });
  });
  bus.subscribe(INGRESS_HEARTBEATS, (bytes, subject) => {
    const heartbeat = decodeJson(ingressHeartbeatSchema, bytes);
    take(subject, heartbeat, (beat) => ({ type: "ingressBeat", heartbeat: beat }));
  });
  bus.subscribe(DISCONNECTS, (bytes, subject) => {
    const disconnect = decodeJson(disconnectSchema, bytes);
    take(subject, disconnect, (event) => {
      const name = connections.ended(event);
      return name === undefined ? undefined : { type: "disconnected", name };
    });
  });
  return { closed: () => tickets.drain() };
}
