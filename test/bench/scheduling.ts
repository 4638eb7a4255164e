/**
 * The scheduling core alone: tickets in, assignments out, on virtual time at a steady offered rate.
 * What is timed is every call into the core; the fleet around it is not, nor are the moments in
 * which other processes had this one's core.
 */

import { type Ticket, TRACE_BYTES } from "@millrace/protocol";
import { SchedulerCore, type SchedulerEvent } from "@millrace/scheduling";
import { seededRandom } from "@millrace/std";
import { FleetModel, modelName, modelRecord } from "./fleet-model.ts";

export interface SchedulingOptions {
  readonly workers: number;
  readonly models: number;
  readonly modelsPerWorker: number;
  /** Requests of one model that arrive in one frame. */
  readonly frameTickets: number;
  readonly ticketsPerSecond: number;
  /** Virtual time before anything is timed, and the tickets that are timed then. */
  readonly warmUs: number;
  readonly tickets: number;
}

export interface SchedulingFigures {
  /** Through everything, heartbeats of the whole fleet among it. */
  readonly ticketsPerSecond: number;
  /** Arrival, batching, assignment and completion; without heartbeats. */
  readonly usPerTicket: number;
  readonly usPerHeartbeat: number;
  /** Tickets that were not assigned; 0, or the figures mean nothing. */
  readonly refused: number;
}

const ID = "scheduler-1";
const INGRESSES = 4;
const BODY_BYTES = 256;

export function measureScheduling(options: SchedulingOptions): SchedulingFigures {
  const { models, frameTickets, ticketsPerSecond } = options;
  const fleet = new FleetModel(ID, options.workers, models, options.modelsPerWorker);
  const core = new SchedulerCore({ id: ID, incarnation: 1 });
  const random = seededRandom(1);
  const tail = new Uint8Array(TRACE_BYTES + BODY_BYTES);
  let workMs = 0;
  let beatMs = 0;
  let beats = 0;
  let refused = 0;
  let wakeAtUs = 0;

  const post = (event: SchedulerEvent, nowUs: number): void => {
    const fromMs = performance.now();
    const effects = core.step(event, nowUs);
    wakeAtUs = core.wakeAtUs;
    const tookMs = performance.now() - fromMs;
    if (event.type === "workerBeat") {
      beatMs += tookMs;
      beats++;
    } else workMs += tookMs;
    for (const effect of effects) {
      if (effect.type === "assign") fleet.assign(effect.frame, effect.worker, nowUs);
      if (effect.type === "refuse") refused += effect.refusals.length;
    }
  };

  for (let at = 0; at < models; at++) post({ type: "modelChanged", record: modelRecord(at) }, 0);
  post({ type: "registryRead" }, 0);
  // Everybody is known before the first ticket.
  for (let at = 0; at < fleet.size; at++) {
    const heartbeat = fleet.beaten(Infinity);
    if (heartbeat !== undefined) post({ type: "workerBeat", heartbeat }, 0);
  }

  let seq = 0;
  const frame = (): SchedulerEvent => {
    const tickets = Array.from({ length: frameTickets }, (): Ticket => {
      return {
        seq: seq++,
        attempt: 0,
        tier: 1,
        hedge: false,
        alone: false,
        remote: false,
        rows: 1,
        length: 0,
        shapeKey: 0,
        remainingUs: 1_000_000,
        bodyBytes: BODY_BYTES,
        tail,
      };
    });
    const ingress = `ingress-${random.below(INGRESSES) + 1}`;
    const model = `${modelName(random.below(models))}@1`;
    return { type: "ticketsArrived", frame: { ingress, model, tickets } };
  };

  const stepUs = Math.max(1, Math.round((1e6 * frameTickets) / ticketsPerSecond));
  let nowUs = 1;
  const advance = (): void => {
    nowUs += stepUs;
    for (let done = fleet.finished(nowUs); done; done = fleet.finished(nowUs)) {
      post({ type: "batchDone", frame: done }, nowUs);
    }
    for (let heartbeat = fleet.beaten(nowUs); heartbeat; heartbeat = fleet.beaten(nowUs)) {
      post({ type: "workerBeat", heartbeat }, nowUs);
    }
    if (wakeAtUs <= nowUs) post({ type: "woke" }, nowUs);
    post(frame(), nowUs);
  };

  while (nowUs < options.warmUs) advance();
  workMs = beatMs = beats = refused = 0;
  const before = seq;
  const share = coreShare();
  while (seq - before < options.tickets) advance();
  const tickets = seq - before;
  const had = share();
  workMs *= had;
  beatMs *= had;
  return {
    ticketsPerSecond: (1000 * tickets) / (workMs + beatMs),
    usPerTicket: (1000 * workMs) / tickets,
    usPerHeartbeat: beats === 0 ? 0 : (1000 * beatMs) / beats,
    refused,
  };
}

/** Begins to watch which share of the time from now on this thread has a core to itself. */
function coreShare(): () => number {
  const fromMs = performance.now();
  const from = process.threadCpuUsage();
  return () => {
    const { user, system } = process.threadCpuUsage(from);
    return Math.min(1, (user + system) / 1000 / (performance.now() - fromMs));
  };
}
