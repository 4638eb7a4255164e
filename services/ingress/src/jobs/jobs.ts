/** Puts the parts of durable jobs together: what takes them in, runs them, and tells of them. */

import type { IncomingMessage } from "node:http";
import { randomInt } from "node:crypto";
import { ItemWindow, WINDOW_DEFAULTS } from "@millrace/jobs";
import { type Fault, subjects } from "@millrace/protocol";
import type { Logger, Metrics } from "@millrace/runtime";
import type { Result } from "@millrace/std";
import type { JobStore } from "@millrace/store";
import type { Access } from "../access.ts";
import type { Catalogue } from "../catalogue.ts";
import type { IngressConfig } from "../config.ts";
import type { Inference } from "../inference.ts";
import { showLevel } from "../ingress-metrics.ts";
import type { LoadCounter } from "../load-recorder.ts";
import type { Reply } from "../reply.ts";
import { countStored } from "../zones.ts";
import { Asker } from "./asker.ts";
import { Intake } from "./intake.ts";
import { JobDesk } from "./job-desk.ts";
import { createJobMetrics, type JobMetrics } from "./job-metrics.ts";
import { Ledger } from "./ledger.ts";
import { Runner } from "./runner.ts";
import { TenantQueues } from "./tenant-queues.ts";
import { WebhookHosts } from "./webhook-address.ts";
import { Webhooks } from "./webhooks.ts";

export interface JobsParts {
  readonly config: IngressConfig;
  readonly store: JobStore;
  readonly catalogue: Catalogue;
  readonly inference: Inference;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly nowUs: () => number;
  readonly load: LoadCounter;
}

const HOUR_MS = 3_600_000;
/** How often the queue's length is asked for. */
const COUNT_MS = 5_000;
const MIB = 1024 ** 2;
const CHANCES = 2 ** 32;
const nowMs = (): number => Date.now();
const chance = (): number => randomInt(CHANCES) / CHANCES;

export class Jobs {
  readonly #desk: JobDesk;
  readonly #runner: Runner;
  readonly #webhooks: Webhooks;
  readonly #metrics: JobMetrics;
  readonly #window: ItemWindow;
  readonly #queue: JobStore["queue"];
  #queued = 0;
  #counting: NodeJS.Timeout | undefined;

  constructor(parts: JobsParts) {
    const { config, store, catalogue, inference, log, nowUs } = parts;
    const metrics = createJobMetrics(parts.metrics);
    const keptMs = config.jobKeptHours * HOUR_MS;
    const ended = ({ tenant, id: job, state }: Parameters<Ledger["announce"]>[0]): void => {
      metrics.jobEnded(state);
      log.info({ client: tenant, job, state }, "a job has ended");
    };
    const ledger = new Ledger({ store, keptMs, nowMs, ended });
    const hosts = new WebhookHosts(config.webhookHosts);
    const uploadBytesMax = config.jobUploadMib * MIB;
    const heldBytesMax = config.openBytesMax;
    const limits = { uploadBytesMax, heldBytesMax };
    const stored = countStored(config, parts.load);
    const intake = new Intake({ store, ledger, nowMs, catalogue, hosts, stored, ...limits });
    const chunksMax = config.jobChunksMax;
    const queues = new TenantQueues({ queue: store.queue, chunksMax, nowUs });
    const objectBytesMax = uploadBytesMax;
    this.#desk = new JobDesk({
      store,
      ledger,
      intake,
      queues,
      metrics,
      log,
      objectBytesMax,
      nowMs,
    });
    this.#window = new ItemWindow({ ...WINDOW_DEFAULTS, most: config.jobItemsMax });
    const asker = new Asker({ catalogue, inference, window: this.#window, nowUs });
    this.#runner = new Runner({
      store,
      ledger,
      metrics,
      log,
      asker,
      stored,
      slots: config.jobSlots,
      // The store keeps results so long that a job may take this, too.
      ageMsMax: keptMs,
      nowUs,
      chance,
    });
    const secret = config.webhookSecret ?? "";
    this.#webhooks = new Webhooks({ store, hosts, secret, metrics, log, nowMs, chance });
    this.#metrics = metrics;
    this.#queue = store.queue;
    this.#show(parts.metrics);
  }

  /** For `nats micro`. */
  get figures(): object {
    const { out, size } = this.#window;
    const queued = this.#queued;
    return {
      ...this.#metrics.totals,
      queued,
      running: this.#runner.running,
      itemsOut: out,
      window: size,
    };
  }

  start(): void {
    this.#runner.start();
    this.#webhooks.start();
    this.#counting = setInterval(() => void this.#count(), COUNT_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#counting);
    this.#webhooks.stop();
    await this.#runner.stop();
  }

  handle(request: IncomingMessage, reply: Reply, access: Access): Promise<Result<void, Fault>> {
    return this.#desk.handle(request, reply, access);
  }

  /** Without an answer the last count stands. */
  async #count(): Promise<void> {
    const counts = await this.#queue.count(subjects.job("*", "*"));
    if (!counts.ok) return;
    this.#queued = [...counts.value.values()].reduce((sum, count) => sum + count, 0);
  }

  #show(metrics: Metrics): void {
    const queued = (): number => this.#queued;
    showLevel(metrics, "job_chunks_queued", "Chunks in the queue of the whole cluster", queued);
    const chunks = (): number => this.#runner.running;
    showLevel(metrics, "job_chunks_running", "Chunks of durable jobs that are being run", chunks);
    const out = (): number => this.#window.out;
    showLevel(metrics, "job_items_out", "Items of durable jobs at the schedulers", out);
    const window = (): number => this.#window.size;
    showLevel(metrics, "job_items_window", "Items that may be there, as it is served", window);
  }
}
