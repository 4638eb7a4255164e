/**
 * Inference requests from their bodies to their answers: opens them, hands them to the core, and
 * turns what the core decides into the one answer of each (I1).
 */

import type { IngressEvent, Served } from "@millrace/admission";
import { parseInferRequest, writeInferResponse } from "@millrace/openinference";
import { decodeTensors, type Fault } from "@millrace/protocol";
import type { Logger } from "@millrace/runtime";
import { present } from "@millrace/std";
import type { Access } from "./access.ts";
import type { AnswerParts } from "./answer-parts.ts";
import type { ServedModel } from "./catalogue.ts";
import { Exchange } from "./exchange.ts";
import type { IngressMetrics } from "./ingress-metrics.ts";
import { type Reply, replyFault, replyInference } from "./reply.ts";

export interface InferenceOptions {
  /** This process's own name in requests' ids and on the bus. */
  readonly address: string;
  /** Deadline of requests that name none. */
  readonly timeoutUs: number;
  readonly post: (event: IngressEvent) => void;
  readonly nowUs: () => number;
  readonly metrics: IngressMetrics;
  readonly log: Logger;
}

/** An authenticated request to a model, whole and not yet read. */
export interface Arrival {
  readonly access: Access;
  readonly model: ServedModel;
  readonly body: Uint8Array;
  readonly headerBytes: number | undefined;
  readonly traceparent: string | undefined;
  readonly reply: Reply;
  readonly arrivedUs: number;
}

/** Numbers are 32 bits on the wire. */
const SEQ_MAX = 0xffff_ffff;

export class Inference {
  readonly #options: InferenceOptions;
  readonly #exchanges = new Map<number, Exchange>();
  #seq = 0;
  #parts: AnswerParts | undefined;

  constructor(options: InferenceOptions) {
    this.#options = options;
  }

  find(seq: number): Exchange | undefined {
    return this.#exchanges.get(seq);
  }

  /** Where parts of answers wait; they go when their request does. */
  attach(parts: AnswerParts): void {
    this.#parts = parts;
  }

  /** Reads the request; a fault when it is refused, undefined once it is open. */
  open(arrival: Arrival): Fault | undefined {
    const { access, model, reply, arrivedUs } = arrival;
    const parsed = parseInferRequest(model.signature, arrival.body, arrival.headerBytes);
    if (!parsed.ok) return parsed.error;
    const request = parsed.value;
    const seq = this.#nextSeq();
    const exchange = new Exchange({
      seq,
      access,
      model,
      request,
      reply,
      traceparent: arrival.traceparent,
      arrivedUs,
    });
    this.#exchanges.set(seq, exchange);
    reply.exchange = exchange;
    reply.state = "waiting";
    this.#options.post({
      type: "requestArrived",
      seq,
      request: {
        client: access.client,
        limits: access.limits,
        model: model.ref,
        tier: request.tier,
        rows: request.rows,
        length: request.length,
        shapeKey: request.shapeKey,
        bodyBytes: exchange.bodyBytes,
        deadlineUs:
          arrivedUs + (request.timeoutUs === 0 ? this.#options.timeoutUs : request.timeoutUs),
      },
    });
    return undefined;
  }

  served(seq: number, served: Served): void {
    const exchange = this.#close(seq);
    const { signature } = exchange.model;
    const tensors = decodeTensors(served.answer.body);
    const response = tensors.ok
      ? writeInferResponse(signature, exchange.id, exchange.outputs, tensors.value)
      : tensors;
    if (!response.ok) {
      const { message } = response.error;
      this.#fail(exchange, { code: "INTERNAL", message }, served.attempts);
      return;
    }
    const totalUs = this.#options.nowUs() - exchange.arrivedUs;
    const { from, device } = served;
    replyInference(exchange.reply, response.value, [
      ...this.#ids(exchange),
      "Millrace-Worker",
      from,
      "Millrace-Device",
      device,
    ]);
    this.#count(exchange, served, totalUs);
  }

  failed(seq: number, fault: Fault, attempts: number): void {
    if (attempts === 0) this.#options.metrics.refused(fault.code);
    this.#fail(this.#close(seq), fault, attempts);
  }

  /** The client went away. */
  gone({ exchange }: Reply): void {
    if (exchange === undefined || this.#exchanges.get(exchange.seq) !== exchange) return;
    this.#close(exchange.seq);
    this.#options.post({ type: "abandoned", seq: exchange.seq });
    const totalUs = this.#options.nowUs() - exchange.arrivedUs;
    this.#options.metrics.failed(exchange.model, "CANCELLED", totalUs);
    this.#options.log.debug({ ...this.#context(exchange), totalUs }, "the client went away");
  }

  #close(seq: number): Exchange {
    const exchange = present(this.#exchanges.get(seq), `the exchange ${seq}`);
    this.#exchanges.delete(seq);
    this.#parts?.drop(seq);
    return exchange;
  }

  #count(exchange: Exchange, { answer, from, device, attempts }: Served, totalUs: number): void {
    const { metrics, log, nowUs } = this.#options;
    const { model, rows, tier } = exchange;
    metrics.served(model, tier, answer, totalUs);
    model.statistics.served(answer, rows, totalUs, nowUs());
    if (!log.isLevelEnabled("debug")) return;
    const { queueUs, computeUs, batchRows } = answer;
    const times = { totalUs, queueUs, computeUs, batchRows, attempts };
    log.debug({ ...this.#context(exchange), worker: from, device, ...times }, "served");
  }

  #fail(exchange: Exchange, fault: Fault, attempts: number): void {
    const { metrics, log, nowUs } = this.#options;
    const totalUs = nowUs() - exchange.arrivedUs;
    replyFault(exchange.reply, fault, this.#ids(exchange));
    metrics.failed(exchange.model, fault.code, totalUs);
    exchange.model.statistics.failed(totalUs, nowUs());
    const { code, message: reason } = fault;
    log.warn({ ...this.#context(exchange), code, reason, attempts, totalUs }, "failed");
  }

  #ids({ seq }: Exchange): string[] {
    return ["Millrace-Request-Id", `${this.#options.address}-${seq}`];
  }

  #context({ seq, trace, access, model }: Exchange): object {
    const request = `${this.#options.address}-${seq}`;
    return { request, trace, client: access.client, model: model.ref };
  }

  /** I2: no two open requests share a number, and no two processes an address. */
  #nextSeq(): number {
    do this.#seq = this.#seq === SEQ_MAX ? 1 : this.#seq + 1;
    while (this.#exchanges.has(this.#seq));
    return this.#seq;
  }
}
