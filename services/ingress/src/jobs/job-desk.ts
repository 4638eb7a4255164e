/** Answers the routes of durable jobs. Tenants see their own only: every key begins with theirs. */

import type { IncomingMessage } from "node:http";
import { cancel, isAccepted, isEnded } from "@millrace/jobs";
import { type Fault, fault, JOB_PAGE_MAX, type JobRecord } from "@millrace/protocol";
import type { Logger } from "@millrace/runtime";
import { fail, ok, type Result, unreachable } from "@millrace/std";
import type { JobStore } from "@millrace/store";
import type { Access } from "../access.ts";
import { type Reply, replyDocument } from "../reply.ts";
import type { Intake } from "./intake.ts";
import type { JobMetrics } from "./job-metrics.ts";
import { matchJobRoute } from "./job-routes.ts";
import type { Ledger } from "./ledger.ts";
import type { TenantQueues } from "./tenant-queues.ts";
import { listJobs } from "./job-list.ts";
import { ResultsStream } from "./results-stream.ts";
import { viewJob } from "./view.ts";

export interface JobDeskOptions {
  readonly store: JobStore;
  readonly ledger: Ledger;
  readonly intake: Intake;
  readonly queues: TenantQueues;
  readonly metrics: JobMetrics;
  readonly log: Logger;
  readonly objectBytesMax: number;
  readonly nowMs: () => number;
}

const PAGE = 20;
const CREATED = 201;
const ACCEPTED = 202;

export class JobDesk {
  readonly #options: JobDeskOptions;

  constructor(options: JobDeskOptions) {
    this.#options = options;
  }

  /** Answers, or says why not; a client that is gone meanwhile gets nothing. */
  async handle(
    request: IncomingMessage,
    reply: Reply,
    access: Access,
  ): Promise<Result<void, Fault>> {
    const matched = matchJobRoute(request.method ?? "", request.url ?? "");
    if (!matched.ok) return matched;
    if (request.headers.expect !== undefined) reply.writeContinue();
    const route = matched.value;
    const tenant = access.client;
    switch (route.kind) {
      case "submit":
        return this.#submit(request, reply, access);
      case "list":
        return this.#list(reply, tenant, route.query);
      case "show": {
        const record = await this.#find(tenant, route.job);
        if (record.ok) replyDocument(reply, viewJob(record.value));
        return record.ok ? ok(undefined) : record;
      }
      case "cancel":
        return this.#cancel(reply, tenant, route.job);
      case "results":
        return this.#results(reply, tenant, route.job, route.partial);
      case "upload":
        return this.#upload(request, reply, tenant, route.digest);
      default:
        return unreachable(route);
    }
  }

  async #submit(
    request: IncomingMessage,
    reply: Reply,
    access: Access,
  ): Promise<Result<void, Fault>> {
    const { queues, intake, metrics, log } = this.#options;
    const full = await queues.refusal(access.client);
    if (full !== undefined) return fail(full);
    const accepted = await intake.take(request, access);
    if (!accepted.ok) return accepted;
    const { record, repeated } = accepted.value;
    if (!repeated) {
      metrics.jobAccepted();
      const { id: job, items, chunks } = record;
      log.info({ client: access.client, job, model: record.model, items, chunks }, "accepted");
    }
    replyDocument(reply, viewJob(record), ACCEPTED, ["Location", `/v2/jobs/${record.id}`]);
    return ok(undefined);
  }

  async #list(reply: Reply, tenant: string, query: URLSearchParams): Promise<Result<void, Fault>> {
    const limit = Number(query.get("limit") ?? PAGE);
    if (!Number.isInteger(limit) || limit < 1 || limit > JOB_PAGE_MAX) {
      const message = `limit is a whole number from 1 to ${JOB_PAGE_MAX}`;
      return fail(fault("INVALID_PARAMETER", message));
    }
    const listed = await listJobs(this.#options.store.records, tenant, {
      limit,
      after: query.get("after") ?? undefined,
    });
    if (listed.ok) replyDocument(reply, listed.value);
    return listed.ok ? ok(undefined) : listed;
  }

  async #cancel(reply: Reply, tenant: string, job: string): Promise<Result<void, Fault>> {
    const { store, ledger, nowMs, metrics } = this.#options;
    let changed = false;
    const standing = await store.records.update(
      tenant,
      job,
      (record) => {
        if (record === undefined || !isAccepted(record)) return fail(notFound(job));
        const cancelled = cancel(record, nowMs());
        changed = cancelled !== record;
        return ok(cancelled);
      },
      ledger.keptMs,
    );
    if (!standing.ok) return standing;
    if (standing.value === undefined) return fail(notFound(job));
    if (changed) metrics.jobEnded("cancelled");
    const announced = await ledger.announce(standing.value);
    if (!announced.ok) return announced;
    replyDocument(reply, viewJob(standing.value));
    return ok(undefined);
  }

  async #results(
    reply: Reply,
    tenant: string,
    job: string,
    partial: boolean,
  ): Promise<Result<void, Fault>> {
    const record = await this.#find(tenant, job);
    if (!record.ok) return record;
    if (!isEnded(record.value) && !partial) {
      const { finishedItems, items } = record.value;
      const message = `${finishedItems} of ${items} items have ended; ?partial=true gives those`;
      return fail(fault("JOB_NOT_ENDED", message));
    }
    return new ResultsStream(this.#options.store, record.value, reply).send();
  }

  async #upload(
    request: IncomingMessage,
    reply: Reply,
    tenant: string,
    expected: string | undefined,
  ): Promise<Result<void, Fault>> {
    const { store, objectBytesMax: bytesMax } = this.#options;
    // It stays open when nobody reads on, so that the answer can be seen.
    const source = request.iterator({ destroyOnReturn: false });
    const stored = await store.objects.receive(tenant, { source, bytesMax, expected });
    if (!stored.ok) return stored;
    const { digest: object, bytes } = stored.value;
    replyDocument(reply, { object, bytes }, CREATED);
    return ok(undefined);
  }

  async #find(tenant: string, job: string): Promise<Result<JobRecord, Fault>> {
    const read = await this.#options.store.records.read(tenant, job);
    if (!read.ok) return read;
    const { record } = read.value;
    return record === undefined || !isAccepted(record) ? fail(notFound(job)) : ok(record);
  }
}

const notFound = (job: string): Fault => fault("JOB_NOT_FOUND", `there is no job ${job}`);
