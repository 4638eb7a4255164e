/** Puts an ingress's parts together: the core, its pump, what it hears, and its clients. */

import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { IngressCore, type IngressEffect, type IngressEvent } from "@millrace/admission";
import type { Bus, MicroStats } from "@millrace/bus";
import { createPump, type Logger, type Metrics, nowUs, type Pump } from "@millrace/runtime";
import { seededRandom } from "@millrace/std";
import type { JobStore } from "@millrace/store";
import { AnswerParts } from "./answer-parts.ts";
import { BodyReader } from "./body.ts";
import { BodySender } from "./body-sender.ts";
import { Catalogue } from "./catalogue.ts";
import type { IngressConfig } from "./config.ts";
import { Gateway } from "./gateway.ts";
import { type HttpListener, listen } from "./http-server.ts";
import { Inference } from "./inference.ts";
import {
  createIngressMetrics,
  type IngressMetrics,
  showCore,
  showLevel,
} from "./ingress-metrics.ts";
import { clientLimits, type KeyFile } from "./key-file.ts";
import { Jobs } from "./jobs/jobs.ts";
import type { LoadCounter } from "./load-recorder.ts";
import { Mailbox } from "./mailbox.ts";
import { Performer } from "./performer.ts";
import { Zones } from "./zones.ts";

export interface IngressParts {
  readonly config: IngressConfig;
  /** This process's own name on the bus. */
  readonly address: string;
  readonly version: string;
  readonly bus: Bus;
  readonly keys: KeyFile;
  readonly jobStore: JobStore;
  readonly load: LoadCounter;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** Models named in a reply to `$SRV.STATS`, the busiest first: it is one message. */
const MODELS_SHOWN_MAX = 500;
const MS_US = 1000;
/** Without a connection the subscriptions do not end. */
const CLOSE_MS_MAX = 1_000;

export class Ingress implements AsyncDisposable {
  readonly catalogue: Catalogue;
  readonly #parts: IngressParts;
  readonly #core: IngressCore;
  readonly #pump: Pump<IngressEvent>;
  readonly #metrics: IngressMetrics;
  readonly #inference: Inference;
  readonly #performer: Performer;
  readonly #answerParts: AnswerParts;
  readonly #mailbox: Mailbox;
  readonly #jobs: Jobs;
  readonly #drained: Promise<void>;
  #listener: HttpListener | undefined;
  #state: "serving" | "draining" = "serving";

  constructor(parts: IngressParts) {
    const { config, address, bus, log } = parts;
    this.#parts = parts;
    const core = new IngressCore(seededRandom(randomInt(2 ** 32)), nowUs(), {
      openMax: config.openMax,
      attemptsMax: config.attemptsMax,
      openBytesMax: config.openBytesMax,
      clientLimits: clientLimits(config),
    });
    this.#core = core;
    this.catalogue = new Catalogue((ref) => this.#isModelReady(ref));
    const metrics = createIngressMetrics(parts.metrics);
    this.#metrics = metrics;
    const post = (event: IngressEvent): void => this.#pump.post(event);
    const timeoutUs = config.timeoutMs * MS_US;
    const zones = new Zones(config.zone);
    const inference = new Inference({
      address,
      timeoutUs,
      post,
      nowUs,
      metrics,
      load: parts.load,
      zones,
      log,
    });
    this.#inference = inference;
    const { promise: drained, resolve: exit } = Promise.withResolvers<void>();
    this.#drained = drained;
    this.#performer = new Performer({ bus, address, inference, metrics, exit });
    const perform = (effect: IngressEffect): void => this.#performer.perform(effect);
    this.#pump = createPump<IngressEvent, IngressEffect>({ core, perform, nowUs });
    const find = inference.find.bind(inference);
    const isOpen = (seq: number): boolean => find(seq) !== undefined;
    this.#answerParts = new AnswerParts({ bytesMax: config.openBytesMax, isOpen });
    inference.attach(this.#answerParts);
    const sender = new BodySender({ bus, flush: () => bus.connection.flush(), address, find });
    const answers = this.#answerParts;
    const { catalogue } = this;
    this.#mailbox = new Mailbox({
      bus,
      address,
      parts: answers,
      sender,
      zones,
      catalogue,
      post,
      log,
    });
    const store = parts.jobStore;
    const registry = parts.metrics;
    const { load } = parts;
    const jobParts = { config, store, catalogue, inference, metrics: registry, log, nowUs, load };
    this.#jobs = new Jobs(jobParts);
  }

  /** Whether requests can be served. */
  get isReady(): boolean {
    const { bus } = this.#parts;
    const serving = this.#state === "serving" && this.catalogue.isComplete;
    return serving && bus.connected && this.#core.schedulers.length > 0;
  }

  /** For `nats micro` and `millrace status`. */
  get stats(): MicroStats {
    const core = this.#core;
    const models = [...this.catalogue.models()]
      .map(({ ref, statistics }) => [ref, statistics.recent(nowUs())] as const)
      .filter(([, { p50Us, errors }]) => p50Us !== undefined || errors > 0)
      .toSorted(([, a], [, b]) => b.requestsPerSecond - a.requestsPerSecond)
      .slice(0, MODELS_SHOWN_MAX);
    const { open, openBytes, counters } = core;
    const data = {
      open,
      openBytes,
      ...counters,
      models: Object.fromEntries(models),
      jobs: this.#jobs.figures,
    };
    return { ...this.#metrics.totals, data };
  }

  /** Listens for clients; the port. @throws the system's error where the address is not free. */
  async listen(): Promise<number> {
    const { config, metrics: registry, log, keys, version } = this.#parts;
    const bodies = new BodyReader({
      bodyBytesMax: config.bodyBytesMax,
      readingBytesMax: config.openBytesMax,
    });
    const gateway = new Gateway({
      version,
      keys,
      bodies,
      catalogue: this.catalogue,
      inference: this.#inference,
      jobs: this.#jobs,
      metrics: this.#metrics,
      log,
      nowUs,
      isReady: () => this.isReady,
      isModelReady: (ref) => this.#isModelReady(ref),
    });
    const core = this.#core;
    showCore(registry, core);
    showLevel(registry, "open_requests", "Requests without an answer yet", () => core.open);
    showLevel(registry, "open_bytes", "Bytes of their bodies", () => core.openBytes);
    showLevel(registry, "reading_bytes", "Bytes of bodies being read", () => bodies.bytes);
    const kept = (): number => this.#answerParts.bytes;
    showLevel(registry, "answer_part_bytes", "Bytes of answers that come in parts", kept);
    this.#listener = await listen({
      host: config.httpHost,
      port: config.httpPort,
      connectionsMax: config.connectionsMax,
      arrivalMs: config.arrivalMs,
      handle: (request, reply) => gateway.handle(request, reply),
      gone: (reply) => this.#inference.gone(reply),
      refused: (reason) => gateway.unfit(reason),
    });
    return this.#listener.port;
  }

  /** Runs durable jobs, from the moment that the models are known. */
  runJobs(): void {
    if (this.#state === "serving") this.#jobs.start();
  }

  /** Refuses what is new; resolves when nothing is open, or when the drain's time is over. */
  async drain(): Promise<void> {
    this.#state = "draining";
    this.#listener?.drain();
    const late = sleep(this.#parts.config.drainMs, undefined, { ref: false });
    // Chunks in hand are given back: another ingress takes them at once.
    await Promise.race([this.#jobs.stop(), late]);
    this.#pump.post({ type: "drainBegan" });
    await Promise.race([this.#drained, late]);
    // What is still read is refused by the core; what is answered is not always taken yet.
    await Promise.race([this.#listener?.idle(), late]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]();
    const late = sleep(CLOSE_MS_MAX, undefined, { ref: false });
    await Promise.race([this.#mailbox.close(), late]);
    this.#pump.stop();
    this.#performer.flush();
  }

  #isModelReady(ref: string): boolean {
    return this.#core.devices(ref, nowUs()) > 0;
  }
}
