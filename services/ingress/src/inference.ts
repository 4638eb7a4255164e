/**
 * Inference requests from their bodies to their answers: opens them, hands them to the core, and
 * turns what the core decides into the one answer of each (I1).
 */

import type { IngressEvent, Served } from "@millrace/admission";
import { type InferRequest, parseInferRequest, writeInferResponse } from "@millrace/openinference";
import { decodeTensors, type Fault, type Tier } from "@millrace/protocol";
import type { Logger } from "@millrace/runtime";
import { NumberMap, present } from "@millrace/std";
import type { Access } from "./access.ts";
import type { AnswerParts } from "./answer-parts.ts";
import type { ServedModel } from "./catalogue.ts";
import { Exchange, type ExchangeParts, type Sink } from "./exchange.ts";
import type { IngressMetrics } from "./ingress-metrics.ts";
import type { Amounts, LoadCounter } from "./load-recorder.ts";
import { Reply, replyFault, replyInference } from "./reply.ts";
import { RequestIds } from "./request-ids.ts";
import type { Zones } from "./zones.ts";

export interface InferenceOptions {
  /** This process's own name in requests' ids and on the bus. */
  readonly address: string;
  /** Deadline of requests that name none. */
  readonly timeoutUs: number;
  readonly post: (event: IngressEvent) => void;
  readonly nowUs: () => number;
  readonly metrics: IngressMetrics;
  /** Counts the load that was there, served or not; bad requests are none. */
  readonly load: LoadCounter;
  readonly zones: Pick<Zones, "crosses" | "kindOf">;
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

/** A request of this process's own, read and checked. */
export interface Question {
  readonly access: Access;
  readonly model: ServedModel;
  readonly request: InferRequest;
  readonly tier: Tier;
  readonly deadlineUs: number;
  readonly sink: Sink;
}

/** Numbers are 32 bits on the wire. */
const SEQ_MAX = 0xffff_ffff;

export class Inference {
  readonly #options: InferenceOptions;
  readonly #exchanges = new NumberMap<Exchange>();
  readonly #ids: RequestIds;
  #seq = 0;
  #parts: AnswerParts | undefined;

  constructor(options: InferenceOptions) {
    this.#options = options;
    this.#ids = new RequestIds(options.address);
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
    const { timeoutUs, tier } = request;
    const deadlineUs = arrivedUs + (timeoutUs === 0 ? this.#options.timeoutUs : timeoutUs);
    const { traceparent } = arrival;
    const parts = { access, model, request, reply, traceparent, arrivedUs };
    const exchange = this.#register(parts);
    reply.exchange = exchange;
    reply.state = "waiting";
    this.#post(exchange, request, tier, deadlineUs);
    return undefined;
  }

  /** @returns its number, for {@link abandon}. The sink may be called before that. */
  ask({ access, model, request, tier, deadlineUs, sink }: Question): number {
    const arrivedUs = this.#options.nowUs();
    const parts = { access, model, request, reply: sink, traceparent: undefined, arrivedUs };
    const exchange = this.#register(parts);
    this.#post(exchange, request, tier, deadlineUs);
    return exchange.seq;
  }

  /** Nobody waits for the answer any more; its sink is not called. */
  abandon(seq: number): void {
    if (!this.#exchanges.has(seq)) return;
    this.#close(seq);
    this.#options.post({ type: "abandoned", seq });
  }

  #register(parts: Omit<ExchangeParts, "seq">): Exchange {
    const exchange = new Exchange({ ...parts, seq: this.#nextSeq() });
    this.#exchanges.set(exchange.seq, exchange);
    return exchange;
  }

  #post(exchange: Exchange, request: InferRequest, tier: Tier, deadlineUs: number): void {
    const { seq, access, model, bodyBytes } = exchange;
    this.#options.post({
      type: "requestArrived",
      seq,
      request: {
        client: access.client,
        limits: access.limits,
        model: model.ref,
        tier,
        rows: request.rows,
        length: request.length,
        shapeKey: request.shapeKey,
        bodyBytes,
        deadlineUs,
      },
    });
  }

  served(seq: number, served: Served): void {
    const exchange = this.#close(seq);
    const { signature } = exchange.model;
    const tensors = decodeTensors(served.answer.body);
    const response = tensors.ok
      ? writeInferResponse(signature, exchange.id, exchange.outputs, tensors.value)
      : tensors;
    if (!response.ok) {
      const { code: own, message } = response.error;
      // The request asked for what cannot be written; all else is no fault of its client.
      const code = own === "OUTPUT_TOO_LARGE" ? own : "INTERNAL";
      this.#fail(exchange, { code, message }, served.attempts);
      return;
    }
    const totalUs = this.#options.nowUs() - exchange.arrivedUs;
    const { from, device } = served;
    const { reply } = exchange;
    if (reply instanceof Reply) {
      const who = ["Millrace-Worker", from, "Millrace-Device", device];
      replyInference(reply, response.value, [...this.#headers(exchange), ...who]);
    } else {
      reply.served(response.value, served.answer.computeUs);
    }
    this.#count(exchange, served, totalUs);
  }

  failed(seq: number, fault: Fault, attempts: number): void {
    const exchange = this.#close(seq);
    if (attempts === 0) this.#options.metrics.refused(fault.code);
    this.#fail(exchange, fault, attempts);
    const amounts = this.#counted(exchange);
    if (attempts === 0) amounts.refused++;
    else amounts.failed++;
  }

  /** The client went away. */
  gone({ exchange }: Reply): void {
    if (exchange === undefined || this.#exchanges.get(exchange.seq) !== exchange) return;
    this.#close(exchange.seq);
    this.#options.post({ type: "abandoned", seq: exchange.seq });
    const totalUs = this.#options.nowUs() - exchange.arrivedUs;
    this.#options.metrics.failed(exchange.model, "CANCELLED", totalUs);
    this.#counted(exchange);
    this.#options.log.debug({ ...this.#context(exchange), totalUs }, "the client went away");
  }

  #close(seq: number): Exchange {
    const exchange = present(this.#exchanges.get(seq), "the exchange");
    this.#exchanges.delete(seq);
    this.#parts?.drop(seq);
    return exchange;
  }

  #count(exchange: Exchange, { answer, from, device, attempts }: Served, totalUs: number): void {
    const { metrics, log, nowUs, zones } = this.#options;
    const { bodyBytes, model, rows, tier } = exchange;
    metrics.served(model, tier, answer, totalUs);
    model.statistics.served(answer, rows, totalUs, nowUs());
    const amounts = this.#counted(exchange, zones.kindOf(from));
    amounts.served++;
    amounts.queueUs += answer.queueUs;
    // Mates of a batch share its time, so that what all of them used is what the device ran.
    amounts.computeUs += (answer.computeUs * rows) / Math.max(rows, answer.batchRows);
    amounts.outputBytes += answer.body.length;
    if (zones.crosses(from)) amounts.crossingBytes += bodyBytes + answer.body.length;
    if (!log.isLevelEnabled("debug")) return;
    const { queueUs, computeUs, batchRows } = answer;
    const times = { totalUs, queueUs, computeUs, batchRows, attempts };
    log.debug({ ...this.#context(exchange), worker: from, device, ...times }, "served");
  }

  /** What to add to, with the request itself counted. @param kind of the worker that answered */
  #counted({ access, bodyBytes, model, rows, tier, tokens }: Exchange, kind?: string): Amounts {
    const tenant = access.tenant ?? access.client;
    const amounts = this.#options.load.amounts(model.spec.name, tenant, tier, kind);
    amounts.arrivals++;
    amounts.rows += rows;
    amounts.inputTokens += tokens;
    amounts.inputBytes += bodyBytes;
    return amounts;
  }

  #fail(exchange: Exchange, fault: Fault, attempts: number): void {
    const { metrics, log, nowUs } = this.#options;
    const totalUs = nowUs() - exchange.arrivedUs;
    const { reply } = exchange;
    if (!(reply instanceof Reply)) {
      // Its sink decides whether that is the end of it, and counts it.
      reply.failed(fault);
      return;
    }
    replyFault(reply, fault, this.#headers(exchange));
    metrics.failed(exchange.model, fault.code, totalUs);
    exchange.model.statistics.failed(totalUs, nowUs());
    const { code, message: reason } = fault;
    log.warn({ ...this.#context(exchange), code, reason, attempts, totalUs }, "failed");
  }

  /** The id of a request that is refused before it is open. */
  nextId(): string {
    return this.#ids.of(this.#nextSeq());
  }

  #headers({ seq }: Exchange): string[] {
    return ["Millrace-Request-Id", this.#ids.of(seq)];
  }

  #context({ seq, trace, access, model }: Exchange): object {
    return { request: this.#ids.of(seq), trace, client: access.client, model: model.ref };
  }

  /** I2: no two open requests share a number, and no two processes an address. */
  #nextSeq(): number {
    do this.#seq = this.#seq === SEQ_MAX ? 1 : this.#seq + 1;
    while (this.#exchanges.has(this.#seq));
    return this.#seq;
  }
}
