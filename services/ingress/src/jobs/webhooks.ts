/**
 * Sends webhooks: one signed POST when a job has ended, at least once, until its receiver says that
 * it has it. What the receiver says besides is not read further than 64 KiB, and never followed.
 */

import { createHmac } from "node:crypto";
import { request as plainRequest, type RequestOptions } from "node:http";
import { request as secureRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { hookDelayUs, isDelivered, isEnded, isRefusedForGood } from "@millrace/jobs";
import { decodeJson, type Fault, fault, hookTaskSchema, type JobRecord } from "@millrace/protocol";
import { ConfigError } from "@millrace/runtime";
import { fail, type Log, ok, type Result } from "@millrace/std";
import type { JobStore, Task } from "@millrace/store";
import type { IngressConfig } from "../config.ts";
import type { JobMetrics } from "./job-metrics.ts";
import { viewJob } from "./view.ts";
import type { WebhookAddress, WebhookHosts } from "./webhook-address.ts";

export interface WebhooksOptions {
  readonly store: Pick<JobStore, "records" | "hooks">;
  readonly hosts: WebhookHosts;
  /** Signs what is sent; whoever receives it has it too. */
  readonly secret: string;
  readonly metrics: Pick<JobMetrics, "webhookSent">;
  readonly log: Log;
  readonly nowMs: () => number;
  readonly chance: () => number;
}

export interface WebhookMessage {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

const REQUEST_MS_MAX = 5_000;
const ANSWER_BYTES_MAX = 64 * 1024;
const SLOTS = 2;
const TAKE_MS = 5_000;
const WORKING_MS = 1_500;
const STORE_AGAIN_MS = 1_000;
const MS_US = 1000;

/**
 * The signature is over the time and the body, so a receiver can refuse what is old:
 * `v1=` and the HMAC-SHA256 of `<timestamp>.<body>` in hex (as Stripe's webhooks have it).
 */
export function composeWebhook(record: JobRecord, secret: string, nowMs: number): WebhookMessage {
  const id = `${record.id}-${record.endedAtMs ?? 0}`;
  const body = JSON.stringify({ event: "job.ended", id, job: viewJob(record) });
  const timestamp = String(Math.floor(nowMs / 1000));
  const signature = createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex");
  return {
    body,
    headers: {
      "Content-Type": "application/json",
      "Content-Length": String(Buffer.byteLength(body)),
      "User-Agent": "millrace",
      "Millrace-Event": "job.ended",
      "Millrace-Event-Id": id,
      "Millrace-Timestamp": timestamp,
      "Millrace-Signature": `v1=${signature}`,
    },
  };
}

/** The status that was answered. The connection goes to the address that was checked. */
export function sendWebhook(
  { url, address, family }: WebhookAddress,
  { body, headers }: WebhookMessage,
): Promise<Result<number, Fault>> {
  const pinned: LookupFunction = (_host, options, done) => {
    if (options.all === true) done(null, [{ address, family }]);
    else done(null, address, family);
  };
  const options: RequestOptions = {
    method: "POST",
    headers: { ...headers },
    lookup: pinned,
    // No connection is kept: the next one is checked anew.
    agent: false,
    signal: AbortSignal.timeout(REQUEST_MS_MAX),
  };
  const send = url.protocol === "https:" ? secureRequest : plainRequest;
  return new Promise((resolve) => {
    const end = (error: Error): void => resolve(fail(fault("DISCONNECTED", error.message)));
    const sent = send(url, options, (response) => {
      let bytes = 0;
      const status = response.statusCode ?? 0;
      response.on("data", (piece: Buffer) => {
        bytes += piece.length;
        if (bytes > ANSWER_BYTES_MAX) response.destroy();
      });
      response.once("error", end);
      response.once("close", () => resolve(ok(status)));
    });
    sent.once("error", end);
    sent.end(body);
  });
}

/** @throws ConfigError where webhooks would be sent unsigned. */
export function checkWebhookConfig({
  webhookHosts,
  webhookSecret,
}: Pick<IngressConfig, "webhookHosts" | "webhookSecret">): void {
  if (webhookHosts.length === 0 || webhookSecret !== undefined) return;
  throw new ConfigError(
    "MILLRACE_WEBHOOK_HOSTS turns webhooks on, and MILLRACE_WEBHOOK_SECRET_FILE is not set: " +
      "expected a file with the secret that signs them",
  );
}

export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #stopping = new AbortController();

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  start(): void {
    if (!this.#options.hosts.isOn) return;
    for (let slot = 0; slot < SLOTS; slot++) void this.#loop();
  }

  /** What is on its way is sent again by somebody else, if nobody hears that it arrived. */
  stop(): void {
    this.#stopping.abort();
  }

  async #loop(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const taken = await this.#options.store.hooks.take(TAKE_MS);
      if (!taken.ok) {
        await sleep(STORE_AGAIN_MS, undefined, { signal, ref: false }).catch(() => undefined);
      } else if (taken.value !== undefined) {
        const task = taken.value;
        const working = setInterval(() => task.working(), WORKING_MS);
        await this.#handle(task);
        clearInterval(working);
      }
    }
  }

  async #handle(task: Task): Promise<void> {
    const { store, log, metrics, chance } = this.#options;
    const decoded = decodeJson(hookTaskSchema, task.bytes);
    if (!decoded.ok) {
      log.error({ subject: task.subject, reason: decoded.error.message }, "not a webhook's task");
      await task.done();
      return;
    }
    const { tenant, job } = decoded.value;
    const read = await store.records.read(tenant, job);
    if (!read.ok) {
      task.again(STORE_AGAIN_MS);
      return;
    }
    const { record } = read.value;
    // Expired, or running again.
    if (record?.webhook === undefined || !isEnded(record)) {
      await task.done();
      return;
    }
    const outcome = await this.#send(record, record.webhook);
    metrics.webhookSent(outcome.ok ? outcome.value : "failed");
    if (outcome.ok) {
      await task.done();
      return;
    }
    const reason = outcome.error.message;
    const delayUs = hookDelayUs(task.deliveries, chance());
    log.warn({ tenant, job, reason, deliveries: task.deliveries }, "a webhook failed");
    if (delayUs === undefined) await task.done();
    else task.again(delayUs / MS_US);
  }

  async #send(record: JobRecord, webhook: string): Promise<Result<"delivered" | "refused", Fault>> {
    const { hosts, secret, nowMs, log } = this.#options;
    const { tenant, id: job } = record;
    const address = await hosts.resolve(webhook);
    if (!address.ok) {
      if (address.error.code !== "WEBHOOK_REFUSED") return address;
      log.error({ tenant, job, reason: address.error.message }, "a webhook is refused");
      return ok("refused");
    }
    const status = await sendWebhook(address.value, composeWebhook(record, secret, nowMs()));
    if (!status.ok) return status;
    if (isDelivered(status.value)) return ok("delivered");
    if (isRefusedForGood(status.value)) return ok("refused");
    return fail(fault("DISCONNECTED", `it was answered with ${status.value}`));
  }
}
