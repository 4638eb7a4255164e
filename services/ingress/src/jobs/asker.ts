/**
 * Items of jobs as requests of this process's own, at priority `batch`: they go the way of every
 * request, so batching, placement, retries and bisecting are the same. How many are out follows
 * what the cluster serves.
 */

import { type ItemWindow, judge, resultLine } from "@millrace/jobs";
import { type InferResponse, parseInferRequest } from "@millrace/openinference";
import { type Fault, fault, type Tier } from "@millrace/protocol";
import { fail, ok, type Result, Turns } from "@millrace/std";
import type { Access } from "../access.ts";
import type { Catalogue, ServedModel } from "../catalogue.ts";
import type { Inference } from "../inference.ts";

export interface AskerOptions {
  readonly catalogue: Pick<Catalogue, "serve">;
  readonly inference: Pick<Inference, "ask" | "abandon">;
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
  readonly #waiting = new Turns<() => void>();

  constructor(options: AskerOptions) {
    this.#options = options;
  }

  /** Items that wait for room in the window, tenants in turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** One try: the item's line of the results, or why there is none. CANCELLED after `signal`. */
  async ask(question: ItemQuestion, signal: AbortSignal): Promise<Result<string, Fault>> {
    await new Promise<void>((resolve) => {
      this.#waiting.add(question.tenant, resolve);
      this.#letIn();
    });
    const model = this.#options.catalogue.serve(question.model, question.version);
    if (signal.aborted) return this.#unsent(CANCELLED);
    return model.ok ? this.#send(question, model.value, signal) : this.#unsent(model.error);
  }

  async #send(
    question: ItemQuestion,
    model: ServedModel,
    signal: AbortSignal,
  ): Promise<Result<string, Fault>> {
    const { inference, window, nowUs } = this.#options;
    const parsed = parseInferRequest(model.signature, encoder.encode(question.json), undefined);
    if (!parsed.ok) return this.#unsent(parsed.error);
    const { tenant } = question;
    const access: Access = { client: `job:${tenant}`, tenant, limits: LIMITS, models: undefined };
    const sentUs = nowUs();
    const { promise, resolve } = Promise.withResolvers<Result<Answer, Fault>>();
    const seq = inference.ask({
      access,
      model,
      request: parsed.value,
      tier: BATCH,
      deadlineUs: sentUs + DEADLINE_US,
      sink: {
        served: (response, computeUs) => resolve(ok({ response, computeUs })),
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
    // A run takes as long as it takes: only what comes on top says that too many are out.
    if (answer.ok) window.served(now - sentUs - answer.value.computeUs, now);
    else if (judge(answer.error.code) === "wait") window.refused(now);
    else window.failed();
    this.#letIn();
    return answer.ok ? ok(lineOf(question.item, answer.value.response)) : answer;
  }

  /** Its room is for others. */
  #unsent(reason: Fault): Result<never, Fault> {
    this.#options.window.failed();
    this.#letIn();
    return fail(reason);
  }

  /** Whoever is let in has its room from now on: nobody loses a turn by looking in vain. */
  #letIn(): void {
    const { window } = this.#options;
    while (window.hasRoom) {
      const enter = this.#waiting.next();
      if (enter === undefined) return;
      window.sent();
      enter();
    }
  }
}

interface Answer {
  readonly response: InferResponse;
  readonly computeUs: number;
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
