/** Performs the effects of the scheduler core: frames to workers, refusals to ingresses, beats. */

import type { Bus, ProcessIdentity } from "@millrace/bus";
import {
  type Answer,
  encodeAnswers,
  encodeAssignment,
  encodeJson,
  FRAME_ITEMS_MAX,
  subjects,
} from "@millrace/protocol";
import { type Count, type Distribution, BATCH_BUCKETS, type Metrics } from "@millrace/runtime";
import type { Refusal, SchedulerEffect } from "@millrace/scheduling";
import { type Log, unreachable } from "@millrace/std";

type Refuse = Extract<SchedulerEffect, { readonly type: "refuse" }>;

const utf8 = new TextEncoder();

export class Performer {
  readonly #id: string;
  readonly #own: ProcessIdentity;
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #batchRows: (model: string) => Distribution;
  readonly #refusals: (code: string) => Count;
  requests = 0;
  refused = 0;
  lastError: string | undefined;

  constructor(options: {
    readonly id: string;
    readonly own: ProcessIdentity;
    readonly bus: Bus;
    readonly log: Log;
    readonly metrics: Metrics;
  }) {
    this.#id = options.id;
    this.#own = options.own;
    this.#bus = options.bus;
    this.#log = options.log;
    const rows = options.metrics.histogram({
      name: "millrace_scheduler_batch_rows",
      help: "Rows in the batches that were sent to devices",
      labels: ["model"],
      buckets: BATCH_BUCKETS,
    });
    const refusals = options.metrics.counter({
      name: "millrace_scheduler_refusals_total",
      help: "Requests that were refused, by reason",
      labels: ["code"],
    });
    this.#batchRows = kept((model) => rows.labels({ model }));
    this.#refusals = kept((code) => refusals.labels({ code }));
  }

  /** What cannot be sent is not kept: ingresses and heartbeats find out what was lost and retry. */
  perform(effect: SchedulerEffect): void {
    switch (effect.type) {
      case "assign": {
        const { frame, worker } = effect;
        let rows = 0;
        for (const item of frame.items) rows += item.rows;
        this.requests += frame.items.length;
        this.#batchRows(frame.model).observe(rows);
        this.#bus.publish(subjects.assign(worker), encodeAssignment(frame));
        return;
      }
      case "refuse":
        return this.#refuse(effect);
      case "command": {
        const { command, why, worker } = effect;
        const ref = command.kind === "load" ? command.spec.name : command.ref;
        this.#log.info({ worker, kind: command.kind, model: ref, why }, "residency");
        this.#bus.publish(subjects.command(worker), encodeJson(command));
        return;
      }
      case "beat": {
        const { startedMs } = this.#own;
        const { connectionId: connection } = this.#bus;
        const said = encodeJson({ ...effect.heartbeat, startedMs, connection });
        this.#bus.publish(subjects.schedulerHeartbeat(this.#id), said);
        return;
      }
      default:
        return unreachable(effect);
    }
  }

  #refuse({ ingress, lost, refusals }: Refuse): void {
    this.refused += refusals.length;
    for (const { code, message, seq } of refusals) {
      this.#refusals(code).inc();
      this.lastError = `${code}: ${message}`;
      this.#log.debug({ request: `${ingress}-${seq}`, code, reason: message }, "refused");
    }
    for (let at = 0; at < refusals.length; at += FRAME_ITEMS_MAX) {
      const answers = refusals.slice(at, at + FRAME_ITEMS_MAX).map(answerOf);
      const frame = encodeAnswers({ from: this.#id, device: lost, answers });
      this.#bus.publish(subjects.answer(ingress), frame);
    }
  }
}

function answerOf(refusal: Refusal): Answer {
  const body = utf8.encode(refusal.message);
  const { seq, attempt, code, queuedUs } = refusal;
  return {
    seq,
    attempt,
    error: code,
    queueUs: queuedUs,
    computeUs: 0,
    batchRows: 0,
    parted: false,
    bodyBytes: body.length,
    body,
  };
}

/** Looks a series up once per label value. */
function kept<S>(create: (label: string) => S): (label: string) => S {
  const series = new Map<string, S>();
  return (label) => {
    let one = series.get(label);
    if (one === undefined) {
      one = create(label);
      series.set(label, one);
    }
    return one;
  };
}
