/**
 * Items of jobs as requests of this process's own, at priority `batch`: they go the way of every
 * request, so batching, placement, retries and bisecting are the same. How many are out follows
 * what the cluster serves.
 */

import { type ItemWindow, judge, resultLine } from "@millrace/jobs";
import { type InferResponse, parseInferRequest } from "@millrace/openinference";
import { type Fault, fault, type Tier } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import type { Access } from "../access.ts";
import type { Catalogue, ServedModel } from "../catalogue.ts";
import type { Inference } from "../inference.ts";

export interface AskerOptions {
  readonly catalogue: Catalogue;
  readonly inference: Inference;
  readonly window: ItemWindow;
  readonly nowUs: () => number;
}

/** An item of an accepted job. */
export interface ItemQuestion {
  readonly tenant: string;
  readonly model: string;
  readonly version: number | undefined;
  /** Its place in the job. */
  readonly item: number;
  readonly json: string;
}

const BATCH: Tier = 2;
/** Generous: the window, and not the deadline, keeps items from queueing. */
const DEADLINE_US = 30_000_000;
/** Jobs have bounds of their own; the rate and the share of a client are for its own requests. */
const LIMITS = { openMax: 1_000_000, perSecondMax: Infinity };
const encoder = new TextEncoder();

export class Asker {
  readonly #options: AskerOptions;
  readonly #waiting: (() => void)[] = [];

  constructor(options: AskerOptions) {
    this.#options = options;
  }

  /** Items that wait for room in the window. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** One try: the item's line of the results, or why there is none. CANCELLED after `signal`. */
  async ask(question: ItemQuestion, signal: AbortSignal): Promise<Result<string, Fault>> {
    const { window, catalogue } = this.#options;
    while (!window.hasRoom) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (signal.aborted) return this.#pass(fail(CANCELLED));
    const model = catalogue.serve(question.model, question.version);
    if (!model.ok) return this.#pass(model);
    return this.#send(question, model.value, signal);
  }

  async #send(
    question: ItemQuestion,
    model: ServedModel,
    signal: AbortSignal,
  ): Promise<Result<string, Fault>> {
    const { inference, window, nowUs } = this.#options;
    const parsed = parseInferRequest(model.signature, encoder.encode(question.json), undefined);
    if (!parsed.ok) return this.#pass(parsed);
    const access: Access = { client: `job:${question.tenant}`, limits: LIMITS, models: undefined };
    const sentUs = nowUs();
    const { promise, resolve } = Promise.withResolvers<Result<InferResponse, Fault>>();
    window.sent();
    const seq = inference.ask({
      access,
      model,
      request: parsed.value,
      tier: BATCH,
      deadlineUs: sentUs + DEADLINE_US,
      sink: {
        served: (response) => resolve(ok(response)),
        failed: (reason) => resolve(fail(reason)),
      },
    });
    const abort = (): void => {
      inference.abandon(seq);
      resolve(fail(CANCELLED));
    };
    signal.addEventListener("abort", abort, { once: true });
    const answer = await promise;
    signal.removeEventListener("abort", abort);
    const now = nowUs();
    if (answer.ok) window.served(now - sentUs, now);
    else if (judge(answer.error.code) === "wait") window.refused(now);
    else window.failed();
    return this.#pass(answer.ok ? ok(lineOf(question.item, answer.value)) : answer);
  }

  /** Lets the next one look for room. */
  #pass<T>(answer: T): T {
    this.#waiting.shift()?.();
    if (this.#options.window.hasRoom) this.#waiting.shift()?.();
    return answer;
  }
}

const CANCELLED = fault("CANCELLED", "the job was cancelled, or its runner is shutting down");

const lineOf = (item: number, { json, binary }: InferResponse): string =>
  resultLine(
    item,
    json,
    binary.map((bytes) =>
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64"),
    ),
  );
